import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import { FakeAccount, type FakeAccountInit } from "./accounts.ts";
import { DeviceEndpoints } from "./device.ts";
import { OAuthEndpoints, type OAuthWorld } from "./oauth.ts";
import type { TokenAnswer } from "./oauth-answers.ts";
import { type RecordedRequest, Recorder, type RequestKind } from "./recorder.ts";
import { Router } from "./router.ts";
import { type AccessState, type Grant, TokenLedger } from "./tokens.ts";
import { WebSocketEndpoint } from "./websocket.ts";

/** How to start a fake. */
export interface FakeCodexInit {
	/** Default: none; an account must exist before anything can be granted. */
	readonly accounts?: readonly (FakeAccountInit | string)[];
	/** Clock for tokens and quotas, in epoch milliseconds; default `Date.now`. Pauses and records use the real clock. */
	readonly now?: () => number;
}

/** An entry of pi's auth.json. */
export interface PiAuthEntry extends Grant {
	readonly type: "oauth";
	readonly accountId: string;
}

/** A ChatGPT Codex backend and its OAuth issuer on a loopback port. */
export class FakeCodex {
	/** Whether WebSocket handshakes are accepted at all. */
	websocket: "accept" | "refuse" = "accept";
	/** Status of a handshake refused by `websocket = "refuse"`. */
	websocketRefusalStatus = 426;
	/** Token endpoint and browser. */
	readonly oauth: OAuthEndpoints;
	/** Device-code flow. */
	readonly device: DeviceEndpoints;
	readonly #accounts = new Map<string, FakeAccount>();
	readonly #recorder = new Recorder();
	readonly #ledger: TokenLedger;
	readonly #now: () => number;
	readonly #closing = new AbortController();
	readonly #sockets: WebSocketEndpoint;
	readonly #connections = new Set<Socket>();
	readonly #server: Server;
	#port = 0;

	constructor(init: FakeCodexInit) {
		const now = init.now ?? Date.now;
		this.#now = now;
		this.#ledger = new TokenLedger(now);
		const account = (name: string) => this.account(name);
		const world: OAuthWorld = { issuer: () => this.issuer, now, ledger: this.#ledger, account };
		this.oauth = new OAuthEndpoints(world);
		this.device = new DeviceEndpoints(world);
		this.#sockets = new WebSocketEndpoint(this.#recorder, now, this.#closing.signal);
		for (const each of init.accounts ?? []) this.addAccount(each);
		this.#server = this.#createServer(world);
	}

	/** Base URL for pi's models.json. */
	get baseUrl(): string {
		return `${this.issuer}/backend-api`;
	}

	/** OAuth issuer, for PI_MULTICODEX_AUTH_URL. */
	get issuer(): string {
		return `http://127.0.0.1:${this.#port}`;
	}

	/** The same issuer under an address of its own, so that a request tells which process sent it. */
	issuerFor(sender: string): string {
		return `${this.issuer}/as/${sender}`;
	}

	/** Every request so far, oldest first. */
	get requests(): readonly RecordedRequest[] {
		return this.#recorder.requests;
	}

	get accounts(): readonly FakeAccount[] {
		return [...this.#accounts.values()];
	}

	/** The account of that name. Throws when there is none. */
	account(name: string): FakeAccount {
		const account = this.#accounts.get(name);
		if (account === undefined) throw new Error(`the fake has no account ${name}`);
		return account;
	}

	/** Adds an account; the first one is signed in at the browser until `signIn` says otherwise. */
	addAccount(init: FakeAccountInit | string): FakeAccount {
		const account = new FakeAccount(typeof init === "string" ? { name: init } : init, this.#ledger, this.#now);
		if (this.#accounts.has(account.name)) throw new Error(`the fake already has an account ${account.name}`);
		this.#accounts.set(account.name, account);
		this.oauth.browser ??= { account: account.name };
		return account;
	}

	/** A new login of an account. */
	grant(name: string, options: { expiresInMs?: number } = {}): Grant {
		return this.account(name).grant(options.expiresInMs);
	}

	/** A new login as pi's auth.json has it. */
	piAuthEntry(name: string, options: { expiresInMs?: number } = {}): PiAuthEntry {
		return { type: "oauth", ...this.grant(name, options), accountId: this.account(name).accountId };
	}

	/** What an access token is worth now. */
	accessState(token: string): AccessState {
		return this.#ledger.access(token).state;
	}

	/** What a refresh token is worth now; looking does not spend it. */
	refreshState(token: string): "valid" | "spent" | "revoked" | "unknown" {
		return this.#ledger.refreshState(token);
	}

	/** Every token and code issued so far; no output may contain one. */
	secrets(): string[] {
		return this.#ledger.secrets();
	}

	/** Chooses who is signed in at the browser that opens the authorize URL. */
	signIn(name: string): void {
		this.oauth.browser = { account: this.account(name).name };
	}

	/** Lets the next authorize requests end with an error. */
	denySignIn(error = "access_denied", description = "The user denied the request"): void {
		this.oauth.browser = { deny: error, description };
	}

	/** Sets the answer of the token endpoint for every account that has no script of its own. */
	token(answer: TokenAnswer | undefined): void {
		this.oauth.script.always(answer);
	}

	/** The recorded requests of some kinds, optionally of one account only. */
	requestsOf(kinds: RequestKind | readonly RequestKind[], account?: string): RecordedRequest[] {
		const wanted = typeof kinds === "string" ? [kinds] : kinds;
		return this.requests.filter((r) => wanted.includes(r.kind) && (account === undefined || r.account === account));
	}

	/** Requests for a response over either transport. */
	responsesRequests(account?: string): RecordedRequest[] {
		return this.requestsOf(["responses", "websocket-request"], account);
	}

	websocketUpgrades(account?: string): RecordedRequest[] {
		return this.requestsOf("websocket-upgrade", account);
	}

	usageRequests(account?: string): RecordedRequest[] {
		return this.requestsOf("usage", account);
	}

	tokenRequests(account?: string): RecordedRequest[] {
		return this.requestsOf("token", account);
	}

	/** Looks at a list of reset credits. */
	resetCreditRequests(account?: string): RecordedRequest[] {
		return this.requestsOf("reset-credits", account);
	}

	/** Calls that redeem a reset credit. */
	redeemRequests(account?: string): RecordedRequest[] {
		return this.requestsOf("redeem", account);
	}

	/** Forgets the recorded requests, not the scripts. */
	clearRequests(): void {
		this.#recorder.requests.length = 0;
	}

	/**
	 * The first request, past or future, that satisfies the predicate. Rejects after the time-out (default 5 s) or at
	 * close().
	 */
	waitFor(predicate: (request: RecordedRequest) => boolean, timeoutMs?: number): Promise<RecordedRequest> {
		return this.#recorder.waitFor(predicate, timeoutMs);
	}

	/** Ends every hanging answer and every connection, and frees the port. Safe to call twice. */
	async close(): Promise<void> {
		this.#closing.abort();
		this.#sockets.close();
		const closed = this.#server.listening ? new Promise((resolve) => this.#server.close(resolve)) : undefined;
		for (const socket of this.#connections) socket.destroy();
		await closed;
		this.#recorder.close();
	}

	/** Starts to listen on a free port, or on a given one. */
	async listen(port = 0): Promise<void> {
		await new Promise<void>((resolve, reject) => {
			this.#server.once("error", reject);
			this.#server.listen(port, "127.0.0.1", resolve);
		});
		const address = this.#server.address();
		if (address === null || typeof address === "string") throw new Error("the fake has no port");
		this.#port = address.port;
	}

	#createServer(world: OAuthWorld): Server {
		const router = new Router({
			...world,
			recorder: this.#recorder,
			oauth: this.oauth,
			device: this.device,
			sockets: this.#sockets,
			closing: this.#closing.signal,
			upgradeRefusal: () => (this.websocket === "refuse" ? this.websocketRefusalStatus : undefined),
		});
		const server = createServer((request, response) => void router.handle(request, response));
		// A client that a busy machine holds up may use its connection again.
		server.keepAliveTimeout = 60_000;
		server.on("upgrade", (request, socket, head) => router.upgrade(request, socket, head));
		server.on("connection", (socket) => {
			this.#connections.add(socket);
			socket.once("close", () => this.#connections.delete(socket));
			router.connected(socket);
		});
		return server;
	}
}

/** Starts a fake Codex backend on a free port of 127.0.0.1. */
export async function startFakeCodex(init: FakeCodexInit = {}): Promise<FakeCodex> {
	const codex = new FakeCodex(init);
	await codex.listen();
	return codex;
}
