import { readFileSync } from "node:fs";
import { connect, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { PoolHost, PoolUrl } from "./pool-url.ts";
import { PoolProblem } from "./types.ts";

/** The request to start TLS, and the answer that agrees. */
const TLS_REQUEST = Uint8Array.from([0, 0, 0, 8, 4, 210, 22, 47]);
const YES = "S".charCodeAt(0);

/** How long to wait for a host, and what ends the wait earlier. */
interface Patience {
	readonly timeoutMs: number;
	readonly signal: AbortSignal;
}

/** Opens a connection to the first host of `url` that answers, with TLS as the URL asks for it. */
export async function dial(url: PoolUrl, patience: Patience): Promise<Socket> {
	let failure: unknown;
	for (const host of url.hosts) {
		try {
			return await dialHost(url, host, patience);
		} catch (error) {
			failure = error;
			if (patience.signal.aborted) break;
		}
	}
	throw failure;
}

async function dialHost(url: PoolUrl, host: PoolHost, { timeoutMs, signal }: Patience): Promise<Socket> {
	const { mode, isDirect } = url.tls;
	const isLocal = host.host.startsWith("/");
	const path = `${host.host}/.s.PGSQL.${host.port}`;
	const socket = isLocal ? connect({ path }) : connect({ host: host.host, port: host.port });
	socket.on("error", noFurtherListener);
	// Statements are short, and each waits for its answer.
	socket.setNoDelay(true);
	const stop = () => void socket.destroy();
	signal.addEventListener("abort", stop, { once: true });
	try {
		return await within(timeoutMs, async () => {
			await happened(socket, "connect");
			// As in libpq: no TLS over a socket of this machine, and `allow` works without it.
			if (isLocal || mode === "disable" || mode === "allow") return socket;
			if (!isDirect && !(await offersTls(socket))) {
				if (mode === "prefer") return socket;
				throw new PoolProblem(
					"bad-url",
					`The database at ${url.place} does not accept encrypted connections, and the URL asks for one (sslmode=${mode}).`,
				);
			}
			const secure = connectTls({ socket, ...tlsOptions(url, host.host) });
			secure.on("error", noFurtherListener);
			await happened(secure, "secureConnect");
			return secure;
		});
	} catch (error) {
		socket.destroy();
		throw error;
	} finally {
		signal.removeEventListener("abort", stop);
	}
}

async function offersTls(socket: Socket): Promise<boolean> {
	let answer: Uint8Array = new Uint8Array();
	socket.once("data", (bytes: Uint8Array) => {
		answer = bytes;
	});
	socket.write(TLS_REQUEST);
	await happened(socket, "data");
	// Exactly one byte. Any further byte was injected before the encryption starts.
	if (answer.length !== 1) throw failure("ECONNRESET");
	return answer[0] === YES;
}

function tlsOptions({ tls, place }: PoolUrl, host: string): ConnectionOptions {
	const read = (file: string | undefined) => {
		if (file === undefined) return undefined;
		try {
			return readFileSync(file);
		} catch {
			throw new PoolProblem(
				"bad-url",
				`The file ${file} that the URL of ${place} names cannot be read: check its path and its rights.`,
			);
		}
	};
	const isVerified = tls.mode === "verify-ca" || tls.mode === "verify-full";
	return {
		// The name that the certificate must be for. Without it, a certificate for an address would be checked against
		// `localhost`.
		host,
		...(isIP(host) === 0 && { servername: host }),
		...(tls.isDirect && { ALPNProtocols: ["postgresql"] }),
		...(tls.root !== undefined && { ca: read(tls.root) }),
		...(tls.certificate !== undefined && { cert: read(tls.certificate) }),
		...(tls.key !== undefined && { key: read(tls.key) }),
		...(tls.passphrase !== undefined && { passphrase: tls.passphrase }),
		...(tls.least !== undefined && { minVersion: tls.least }),
		...(tls.most !== undefined && { maxVersion: tls.most }),
		rejectUnauthorized: isVerified,
		// The chain is verified, but not the name.
		...(tls.mode === "verify-ca" && { checkServerIdentity: () => undefined }),
	};
}

/** Keeps an error without any other listener from ending the process. Another listener has already reported it. */
const noFurtherListener = () => undefined;

/** Waits for an event of a socket. Rejects if the socket fails or ends first. */
function happened(socket: Socket, event: "connect" | "data" | "secureConnect"): Promise<void> {
	return new Promise((resolve, reject) => {
		const settle = (act: () => void) => {
			socket.off(event, onEvent).off("error", onError).off("close", onClose);
			act();
		};
		const onEvent = () => settle(resolve);
		const onError = (error: Error) => settle(() => reject(error));
		const onClose = () => settle(() => reject(failure("ECONNRESET")));
		socket.on(event, onEvent).on("error", onError).on("close", onClose);
	});
}

async function within<T>(timeoutMs: number, act: () => Promise<T>): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(failure("ETIMEDOUT")), timeoutMs);
	});
	try {
		return await Promise.race([act(), late]);
	} finally {
		clearTimeout(timer);
	}
}

function failure(code: string): Error {
	return Object.assign(new Error(code), { code });
}
