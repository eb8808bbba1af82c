import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type Credential, printable } from "../../core/account.ts";
import { identityOf } from "../../platform/backend/jwt.ts";
import { CLIENT_ID } from "../../platform/backend/openai-oauth.ts";
import { refusalToSendTokens, withoutSlash } from "../../platform/backend/token-url.ts";
import { exchangeCode } from "./code-grant.ts";
import type { LoginDialog } from "./ports.ts";
import { CodeRefusedError, isCancelled, LOGIN_CANCELLED, SignInError, signInAddressIn } from "./rules.ts";

/** Redirect ports that the issuer has registered for this client, in the order to try. */
const PORTS = [1455, 1457];
const CALLBACK_PATH = "/auth/callback";
const LOGIN_TIMEOUT_MS = 10 * 60_000;
/** How long the page waits for the end of the sign-in. */
const PAGE_WAIT_MS = 3000;
const PAGE_WITHOUT_NEWS = "The sign-in is on its way to pi. You can close this page and go back there.";
/** A browser that does not take the page must not delay the sign-in for longer. */
const LAST_PAGE_MS = 1000;
const WRONG_PASTE =
	"The sign-in service did not accept the code that was pasted. Paste the address that the browser ended on.";

/**
 * Signs in through the browser with PKCE. The code arrives through the loopback callback or is pasted. The page that
 * the browser ends on waits a moment, so that it can show with `nameOf` who has signed in. Throws a {@link
 * SignInError}. Always frees the ports.
 */
export async function loginInBrowser(
	issuer: string,
	dialog: LoginDialog,
	now: () => number,
	nameOf: (credential: Credential) => string | undefined = ({ access }) => identityOf(access)?.email,
): Promise<Credential> {
	const refusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
	if (refusal) throw new SignInError(refusal);
	const verifier = randomBytes(32).toString("base64url");
	const state = randomBytes(32).toString("base64url");
	const callback = await listen(state);
	try {
		const redirectUri = `http://localhost:${callback.port}${CALLBACK_PATH}`;
		dialog.showUrl(authorizeUrl(issuer, redirectUri, verifier, state), { comesBack: callback.isListening });
		const end = endOf(dialog.signal);
		try {
			let problem: string | undefined;
			for (;;) {
				const { code, isPasted } = await firstCode(callback, dialog, state, { ended: end.reached, problem });
				dialog.received?.();
				try {
					const credential = await exchangeCode(issuer, { code, verifier, redirectUri }, now(), dialog.signal);
					await callback.tell(pageOfSuccess(nameOf(credential)));
					return credential;
				} catch (error) {
					// Something else was pasted. The sign-in itself is still valid.
					if (!isPasted || !(error instanceof CodeRefusedError)) throw error;
					problem = WRONG_PASTE;
				}
			}
		} finally {
			end.release();
		}
	} catch (error) {
		await callback.tell(pageOfFailure(error));
		throw error;
	} finally {
		callback.close();
	}
}

function authorizeUrl(issuer: string, redirectUri: string, verifier: string, state: string): string {
	const url = new URL(`${withoutSlash(issuer)}/oauth/authorize`);
	const query = {
		response_type: "code",
		client_id: CLIENT_ID,
		redirect_uri: redirectUri,
		scope: "openid profile email offline_access",
		code_challenge: createHash("sha256").update(verifier).digest("base64url"),
		code_challenge_method: "S256",
		state,
		id_token_add_organizations: "true",
		codex_cli_simplified_flow: "true",
		originator: "pi",
	};
	for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
	return url.toString();
}

interface Callback {
	readonly port: number;
	/** False if every registered port is taken. The code can then only be pasted. */
	readonly isListening: boolean;
	readonly code: Promise<string>;
	/** Answers the browser that has brought the code and waits, if any. Resolves when the page was sent. */
	tell(page: string): Promise<void>;
	close(): void;
}

/** Listens on both loopback addresses, since `localhost` may mean either. Without a free port only pasting is left. */
async function listen(state: string): Promise<Callback> {
	let settle: { resolve: (code: string) => void; reject: (error: Error) => void } | undefined;
	const code = new Promise<string>((resolve, reject) => {
		settle = { resolve, reject };
	});
	code.catch(() => undefined);
	let isAnswered = false;
	let waiting: ServerResponse | undefined;
	const tell = async (page: string) => {
		const response = waiting;
		waiting = undefined;
		if (response) await endWith(response, page);
	};
	const onRequest = (request: IncomingMessage, response: ServerResponse) => {
		// Any program on this machine can send anything here, even "//", which is not a URL.
		const asked = `http://localhost${request.url ?? "/"}`;
		const url = URL.canParse(asked) ? new URL(asked) : undefined;
		const query = url?.searchParams ?? new URLSearchParams();
		const isOurs = !isAnswered && url?.pathname === CALLBACK_PATH && query.get("state") === state;
		const answer = isOurs ? query.get("code") : null;
		const error = isOurs ? query.get("error") : null;
		isAnswered ||= answer !== null || error !== null;
		response.writeHead(answer !== null || error !== null ? 200 : 400, {
			"content-type": "text/plain; charset=utf-8",
			connection: "close",
			"x-content-type-options": "nosniff",
		});
		if (answer !== null) {
			waiting = response;
			const giveUp = setTimeout(() => void tell(PAGE_WITHOUT_NEWS), PAGE_WAIT_MS);
			response.once("close", () => clearTimeout(giveUp));
			settle?.resolve(answer);
			return;
		}
		response.end(
			error === null ? "This is not the page pi is waiting for." : "The sign-in was refused. Go back to pi.",
		);
		if (error !== null) settle?.reject(refusedInBrowser(error, query.get("error_description") ?? ""));
	};
	for (const port of PORTS) {
		const tries = await Promise.all(["127.0.0.1", "::1"].map((host) => tryListen(host, port, onRequest)));
		const servers = tries.filter((tried) => typeof tried !== "string");
		// Another program on one of the two addresses would get the code from browsers that try that address first. A
		// machine without IPv6 is fine.
		if (servers.length > 0 && !tries.includes("EADDRINUSE"))
			return { port, isListening: true, code, tell, close: () => closeAll(servers) };
		closeAll(servers);
	}
	return { port: PORTS[0] ?? 1455, isListening: false, code, tell, close: () => undefined };
}

function tryListen(
	host: string,
	port: number,
	onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server | string> {
	return new Promise((resolve) => {
		const server = createServer(onRequest);
		server.once("error", (error) => resolve("code" in error ? String(error.code) : error.name));
		server.listen(port, host, () => resolve(server));
	});
}

function closeAll(servers: readonly Server[]): void {
	for (const server of servers) {
		server.close();
		server.closeAllConnections();
	}
}

/** Ends a response. Resolves when it was sent, or can no longer be. */
function endWith(response: ServerResponse, page: string): Promise<void> {
	return new Promise((resolve) => {
		const patience = setTimeout(resolve, LAST_PAGE_MS);
		const done = () => {
			clearTimeout(patience);
			resolve();
		};
		response.once("close", done);
		response.end(page, done);
	});
}

function pageOfSuccess(name: string | undefined): string {
	const who = name === undefined ? "You are signed in" : `Signed in as ${printable(name)}`;
	return `${who}, and pi has the sign-in. You can close this page.`;
}

function pageOfFailure(error: unknown): string {
	if (isCancelled(error)) return "The sign-in was cancelled in pi. You can close this page.";
	return `The sign-in did not work, and pi did not get it. ${error instanceof SignInError ? error.message : "Go back to pi."}`;
}

function refusedInBrowser(error: string, description: string): SignInError {
	if (description.includes("missing_codex_entitlement")) {
		return new SignInError("Codex is not switched on in this ChatGPT workspace. Its administrator can change that.");
	}
	return error === "access_denied"
		? new SignInError("The sign-in was refused in the browser.")
		: new SignInError("The sign-in service refused the sign-in. Start again.");
}

/** Rejects when the time for a sign-in ends or the person cancels. */
function endOf(signal: AbortSignal | undefined): { readonly reached: Promise<never>; release(): void } {
	let release: () => void = () => undefined;
	const reached = new Promise<never>((_, reject) => {
		const timer = setTimeout(
			() => reject(new SignInError("The sign-in was not completed within 10 minutes. Start again.")),
			LOGIN_TIMEOUT_MS,
		);
		const onAbort = () => reject(new SignInError(LOGIN_CANCELLED));
		if (signal?.aborted) onAbort();
		signal?.addEventListener("abort", onAbort, { once: true });
		release = () => {
			clearTimeout(timer);
			signal?.removeEventListener("abort", onAbort);
		};
	});
	// The promise that loses the race may still reject after its listeners are gone.
	reached.catch(() => undefined);
	return { reached, release };
}

async function firstCode(
	callback: Callback,
	dialog: LoginDialog,
	state: string,
	{ ended, problem }: { readonly ended: Promise<never>; readonly problem: string | undefined },
): Promise<{ readonly code: string; readonly isPasted: boolean }> {
	const pasted = pastedCode(dialog, state, problem).then((code) => ({ code, isPasted: true }));
	pasted.catch(() => undefined);
	return Promise.race([callback.code.then((code) => ({ code, isPasted: false })), pasted, ended]);
}

/** Returns the code that the person pastes. After a text without one, asks again if possible. */
async function pastedCode(dialog: LoginDialog, state: string, first: string | undefined): Promise<string> {
	let problem = first;
	for (;;) {
		const text = await dialog.pasted(problem).catch(() => {
			throw new SignInError(LOGIN_CANCELLED);
		});
		if (text === undefined) throw new SignInError(problem ?? LOGIN_CANCELLED);
		if (text.trim() === "") throw new SignInError(LOGIN_CANCELLED);
		const read = codeIn(text.trim(), state);
		if ("code" in read) return read.code;
		problem = read.problem;
	}
}

/** Finds a redirect URL in what was pasted: within quotes or other words, in several lines, or without its start. */
function addressIn(pasted: string): string | undefined {
	const address = signInAddressIn(pasted)?.replace(/["'`<>›»)\].,;]+$/, "");
	return address !== undefined && /^[\d[]/.test(address) ? `http://${address}` : address;
}

type Read = { readonly code: string } | { readonly problem: string };

/** Finds the code in what was pasted. A line may have ended in the middle of the state. */
function codeIn(pasted: string, state: string): Read {
	const read = codeInText(pasted, state);
	if ("code" in read) return read;
	const joined = codeInText(pasted.replaceAll(/\s+/g, ""), state);
	return "code" in joined && URL.canParse(addressIn(pasted) ?? "") ? joined : read;
}

/** Finds the code in a redirect URL, `code#state`, a query, or takes the text for the code itself. */
function codeInText(pasted: string, state: string): Read {
	const text = addressIn(pasted) ?? pasted;
	const [bare = "", hashState] = text.split("#");
	const query = URL.canParse(text) ? new URL(text).searchParams : new URLSearchParams(text);
	const code = query.get("code") ?? (/[=/\s]/.test(text) ? null : bare);
	const toldState = query.get("state") ?? hashState;
	const error = query.get("error");
	if (error !== null) return { problem: refusedInBrowser(error, query.get("error_description") ?? "").message };
	if (code === null || code === "") return { problem: "The pasted text contains no sign-in code." };
	if (toldState !== undefined && toldState !== state) {
		return { problem: "The pasted text belongs to another sign-in." };
	}
	return { code };
}
