import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Credential } from "../domain/account.ts";
import { LOGIN_CANCELLED } from "../domain/sign-in.ts";
import type { LoginDialog } from "../pool/ports.ts";
import { exchangeCode } from "./code-grant.ts";
import { CLIENT_ID } from "./openai-oauth.ts";
import { refusalToSendTokens, withoutSlash } from "./token-url.ts";

/** Redirect ports that the issuer has registered for this client, in the order in which to try them. */
const PORTS = [1455, 1457];
const CALLBACK_PATH = "/auth/callback";
const LOGIN_TIMEOUT_MS = 10 * 60_000;

/**
 * Signs in through the browser with PKCE. The code comes from the loopback callback or is pasted. Throws
 * {@link LOGIN_CANCELLED} on cancel, else one sentence that holds no secret; the ports are free again either way.
 */
export async function loginInBrowser(issuer: string, dialog: LoginDialog, now: () => number): Promise<Credential> {
	const refusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
	if (refusal) throw new Error(refusal);
	const verifier = randomBytes(32).toString("base64url");
	const state = randomBytes(32).toString("base64url");
	const callback = await listen(state);
	try {
		const redirectUri = `http://localhost:${callback.port}${CALLBACK_PATH}`;
		dialog.showUrl(authorizeUrl(issuer, redirectUri, verifier, state));
		const code = await firstCode(callback, dialog, state);
		return await exchangeCode(issuer, { code, verifier, redirectUri }, now());
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
	readonly code: Promise<string>;
	close(): void;
}

/** Listens on both loopback addresses: `localhost` may mean either. Without a free port only pasting is left. */
async function listen(state: string): Promise<Callback> {
	let settle: { resolve: (code: string) => void; reject: (error: Error) => void } | undefined;
	const code = new Promise<string>((resolve, reject) => {
		settle = { resolve, reject };
	});
	code.catch(() => undefined);
	let isAnswered = false;
	const onRequest = (request: IncomingMessage, response: ServerResponse) => {
		// Anybody on this machine can send anything here, "//" included, which is no URL.
		const asked = `http://localhost${request.url ?? "/"}`;
		const url = URL.canParse(asked) ? new URL(asked) : undefined;
		const told = url?.searchParams ?? new URLSearchParams();
		const isOurs = !isAnswered && url?.pathname === CALLBACK_PATH && told.get("state") === state;
		const answer = isOurs ? told.get("code") : null;
		const error = isOurs ? told.get("error") : null;
		isAnswered ||= answer !== null || error !== null;
		response.writeHead(answer !== null || error !== null ? 200 : 400, {
			"content-type": "text/plain; charset=utf-8",
			connection: "close",
		});
		response.end(pageFor(answer, error));
		if (answer !== null) settle?.resolve(answer);
		else if (error !== null) settle?.reject(new Error(refusedSentence(error, told.get("error_description") ?? "")));
	};
	for (const port of PORTS) {
		const servers = (await Promise.all(["127.0.0.1", "::1"].map((host) => tryListen(host, port, onRequest)))).filter(
			(server) => server !== undefined,
		);
		const isIpv4Ours = servers.some((server) => addressOf(server) === "127.0.0.1");
		if (isIpv4Ours) return { port, code, close: () => closeAll(servers) };
		closeAll(servers);
	}
	return { port: PORTS[0] ?? 1455, code, close: () => undefined };
}

function tryListen(
	host: string,
	port: number,
	onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server | undefined> {
	return new Promise((resolve) => {
		const server = createServer(onRequest);
		server.once("error", () => resolve(undefined));
		server.listen(port, host, () => resolve(server));
	});
}

function addressOf(server: Server): string | undefined {
	const address = server.address();
	return typeof address === "object" ? address?.address : undefined;
}

function closeAll(servers: readonly Server[]): void {
	for (const server of servers) {
		server.close();
		server.closeAllConnections();
	}
}

function pageFor(code: string | null, error: string | null): string {
	if (code !== null) return "Signed in. You can close this page and go back to pi.";
	return error === null ? "This is not the page pi is waiting for." : "The sign-in was refused. Go back to pi.";
}

function refusedSentence(error: string, description: string): string {
	if (description.includes("missing_codex_entitlement")) return "Codex is not enabled for this ChatGPT workspace.";
	return error === "access_denied"
		? "The sign-in was refused in the browser."
		: "The sign-in service refused the sign-in.";
}

async function firstCode(callback: Callback, dialog: LoginDialog, state: string): Promise<string> {
	const { signal } = dialog;
	let timer: NodeJS.Timeout | undefined;
	let onAbort: (() => void) | undefined;
	const ended = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error("The sign-in was not completed within 10 minutes.")), LOGIN_TIMEOUT_MS);
		onAbort = () => reject(new Error(LOGIN_CANCELLED));
		if (signal?.aborted) onAbort();
		signal?.addEventListener("abort", onAbort, { once: true });
	});
	const pasted = dialog.pasted().then(
		(text) => codeFrom(text, state),
		() => {
			throw new Error(LOGIN_CANCELLED);
		},
	);
	try {
		return await Promise.race([callback.code, pasted, ended]);
	} finally {
		clearTimeout(timer);
		if (onAbort) signal?.removeEventListener("abort", onAbort);
		// Whatever loses the race may still reject, with nobody left to hear it.
		pasted.catch(() => undefined);
		ended.catch(() => undefined);
	}
}

/** The code in what was pasted: a redirect URL, `code#state`, a query, or the code itself. */
function codeFrom(text: string, state: string): string {
	const trimmed = text.trim();
	if (trimmed === "") throw new Error(LOGIN_CANCELLED);
	const [bare = "", hashState] = trimmed.split("#");
	const query = URL.canParse(trimmed) ? new URL(trimmed).searchParams : new URLSearchParams(trimmed);
	const code = query.get("code") ?? (trimmed.includes("=") || trimmed.includes("/") ? null : bare);
	const toldState = query.get("state") ?? hashState;
	if (code === null) throw new Error("There is no sign-in code in what was pasted.");
	if (toldState !== undefined && toldState !== state) throw new Error("What was pasted belongs to another sign-in.");
	return code;
}
