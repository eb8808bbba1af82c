import type { Api, AssistantMessage, AssistantMessageEvent, Context, Model } from "@mariozechner/pi-ai";
import type { Account } from "../../src/core/account.ts";
import type { SetFinder } from "../../src/core/account-sets.ts";
import { type BeyondSources, createBeyond } from "../../src/core/beyond/beyond.ts";
import type { Credentials, TokenResult } from "../../src/core/credentials/credentials.ts";
import type { PiLoginSync } from "../../src/core/credentials/pi-login-sync.ts";
import type { Exhaustion, PoolEvent } from "../../src/core/events.ts";
import type { AccountId } from "../../src/core/ids.ts";
import { createPool, type Pool } from "../../src/core/pool/pool.ts";
import { type Affinity, createAffinity } from "../../src/core/request/affinity.ts";
import type { CodexDelegate, ReadUsageHeaders, StreamOptions } from "../../src/core/request/attempt.ts";
import { type FailoverDeps, failover } from "../../src/core/request/request-loop.ts";
import { createSessionSockets } from "../../src/core/request/session-sockets.ts";
import { exhausted } from "../../src/core/request/turn-texts.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../src/core/settings.ts";
import { readRefusal } from "../../src/platform/backend/read-body.ts";
import {
	aClock,
	anAccountStore,
	aStateStore,
	type FakeAccountStore,
	type FakeClock,
	type FakeStateStore,
} from "../support/fakes.ts";
import { aSessionId } from "../support/ids.ts";
import { aMessage } from "./streams.ts";

type Event = AssistantMessageEvent;

export const MODEL: Model<Api> = {
	id: "gpt-5.5",
	name: "GPT-5.5",
	api: "openai-codex-responses",
	provider: "openai-codex",
	baseUrl: "http://127.0.0.1:1/backend-api",
	reasoning: true,
	input: ["text"],
	cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
	contextWindow: 272_000,
	maxTokens: 128_000,
};
export const CONTEXT: Context = { messages: [] };

/** What the host's stream does for one try. It gets the options that the try was made with. */
export type Play = (options: StreamOptions) => AsyncIterable<Event> | Iterable<Event>;

/** A whole answer, as the host streams it. */
export const answered = (text = "hello"): Play =>
	async function* () {
		const message = aMessage();
		yield { type: "start", partial: message };
		yield { type: "text_start", contentIndex: 0, partial: message };
		message.content.push({ type: "text", text });
		yield { type: "text_delta", contentIndex: 0, delta: text, partial: message };
		yield { type: "text_end", contentIndex: 0, content: text, partial: message };
		yield { type: "done", reason: "stop", message };
	};

const errorEvent = (errorMessage: string): Event => ({
	type: "error",
	reason: "error",
	error: aMessage({ stopReason: "error", errorMessage }),
});

/** Refused with words alone, before or after some text: what a frame in a stream comes to. */
export const failedWith = (words: string, { after = "", withStart = true } = {}): Play =>
	async function* () {
		const message = aMessage();
		if (withStart) yield { type: "start", partial: message };
		if (after !== "") {
			message.content.push({ type: "text", text: after });
			yield { type: "text_delta", contentIndex: 0, delta: after, partial: message };
		}
		yield errorEvent(words);
	};

/** Refused with a status: the host asks `onResponse`, and ends in whatever that throws, else in its own words. */
export const refused = (status: number, body: unknown = {}, headers: Record<string, string> = {}): Play =>
	async function* (options) {
		const text = typeof body === "string" ? body : JSON.stringify(body);
		const contentType = typeof body === "string" ? "text/html" : "application/json";
		const all = { "content-type": contentType, ...headers };
		await options.fetch?.("http://127.0.0.1/", {
			method: "POST",
			headers: { "x-answer": text, "x-status": `${status}` },
		});
		try {
			await options.onResponse?.({ status, headers: all }, MODEL);
		} catch (error) {
			yield errorEvent(error instanceof Error ? error.message : "?");
			return;
		}
		yield errorEvent(`HTTP ${status}`);
	};

/** A network in which a request says itself what it wants to be answered. */
export const echoing: typeof globalThis.fetch = async (_input, init) => {
	const headers = new Headers(init?.headers);
	return new Response(headers.get("x-answer"), { status: Number(headers.get("x-status")) });
};

/** Nothing, until the request is given up; then the host's own words for it. */
export const silent = (withText = ""): Play =>
	async function* (options) {
		const message = aMessage();
		yield { type: "start", partial: message };
		if (withText !== "") {
			message.content.push({ type: "text", text: withText });
			yield { type: "text_delta", contentIndex: 0, delta: withText, partial: message };
		}
		await new Promise((resolve) => options.signal?.addEventListener("abort", resolve, { once: true }));
		yield {
			type: "error",
			reason: "aborted",
			error: { ...message, stopReason: "aborted", errorMessage: "Request was aborted" },
		};
	};

/** How one request came out. */
export interface Outcome {
	readonly events: readonly Event[];
	readonly final: Event | undefined;
	/** Words of the final error. */
	readonly words: string | undefined;
	/** How often the stream was ended. */
	readonly ends: number;
	/** The text of the final message. */
	readonly text: string;
}

/** A pool with everything a request needs, and a host that plays a script. */
export interface Harness {
	readonly clock: FakeClock;
	readonly accounts: FakeAccountStore;
	readonly state: FakeStateStore;
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly told: PoolEvent[];
	/** Accounts in the order in which they were tried, by the token that was used. */
	readonly tries: string[];
	/** Options of each try. */
	readonly options: StreamOptions[];
	/** Sessions whose sockets were closed, in order, with the tries before. */
	readonly closed: string[];
	readonly asked: AccountId[];
	/** What asking for usage comes to. */
	onAsk: (id: AccountId) => Promise<unknown>;
	/** Spent accounts of which a request has asked whether they have a reserve model, and what that comes to. */
	readonly askedForReserve: AccountId[];
	onAskForReserve: (id: AccountId) => unknown;
	/** How often those that cool were asked for behind a wait. */
	rechecks: number;
	readonly pauses: number[];
	/** How long each token was waited for; undefined: to the end. */
	readonly patience: (number | undefined)[];
	/** What an account answers, one after the other; the last one goes on. */
	readonly scripts: Map<string, Play[]>;
	/** Instead of the account's own token. */
	readonly tokens: Map<AccountId, (refused: string | undefined) => TokenResult | Promise<TokenResult>>;
	/** Runs at every pause, after the clock has moved. */
	onPause: (() => void) | undefined;
	/** Reads usage from headers; nothing unless told otherwise. */
	readUsageHeaders: ReadUsageHeaders;
	settings: Settings;
	/** The account set that a session is bound to. */
	setFor: SetFinder["setFor"];
	/** What chance says next. */
	dice: number;
	/** Words that the host's own turn retry repeats. */
	repeated: RegExp;
	/** Further models that pi knows. */
	readonly models: Model<Api>[];
	/** Reasons for which no account was left. */
	readonly exhaustions: Exhaustion[];
	/** What the loop itself is given. */
	readonly deps: FailoverDeps;
	play(account: string, ...plays: Play[]): void;
	ask(options?: Partial<StreamOptions>): Promise<Outcome>;
}

export function createHarness(...rows: Account[]): Harness {
	return createHarnessWith({}, ...rows);
}

/** The same with something beyond included quota. */
export function createHarnessWith(sources: BeyondSources, ...rows: Account[]): Harness {
	const clock = aClock();
	const accounts = anAccountStore(...rows);
	const state = aStateStore();
	const pool = createPool({
		accounts,
		state,
		clock,
		settings: () => harness.settings,
		sets: { setFor: (sessionId) => harness.setFor(sessionId) },
	});
	const affinity = createAffinity(clock);
	const tries: string[] = [];
	const closed: string[] = [];

	const delegate: CodexDelegate = {
		stream: (_model, _context, options) => {
			const account = options.apiKey?.replace(/^access-/, "") ?? "";
			tries.push(account);
			harness.options.push(options);
			const script = harness.scripts.get(account) ?? [];
			const play = (script.length > 1 ? script.shift() : script[0]) ?? answered(`from ${account}`);
			return asAsync(play(options));
		},
		forgetSession: (sessionId) => closed.push(`${sessionId} before try ${tries.length + 1}`),
	};
	const credentials: Credentials = {
		accessToken: async (id, { signal, refused: refusedToken, patienceMs }) => {
			signal?.throwIfAborted();
			harness.patience.push(patienceMs);
			const scripted = harness.tokens.get(id);
			if (scripted) return scripted(refusedToken);
			return { kind: "ready", access: pool.account(id)?.credential.access ?? "" };
		},
		currentToken: () => undefined,
		idle: async () => undefined,
	};
	const link: PiLoginSync = { sync: async () => undefined, signedIn: async () => undefined, isForeign: () => false };
	const modelNamed = (id: string) => harness.models.find((model) => model.id === id);
	const deps: FailoverDeps = {
		pool,
		link,
		credentials,
		affinity,
		sockets: createSessionSockets(delegate.forgetSession),
		delegate,
		backend: { fetch: globalThis.fetch, readRefusal },
		readUsageHeaders: (headers, now) => harness.readUsageHeaders(headers, now),
		askUsage: (id) => {
			harness.asked.push(id);
			return harness.onAsk(id);
		},
		isRepeatedByHost: (words) => harness.repeated.test(words),
		fingerprint: (token) => `hash of ${token}`,
		settings: () => harness.settings,
		modelNamed,
		recheckCooling: () => {
			harness.rechecks += 1;
		},
		clock,
		pause: async (ms, signal) => {
			harness.pauses.push(ms);
			clock.at += ms;
			harness.onPause?.();
			signal?.throwIfAborted();
		},
		random: () => harness.dice,
		beyond: createBeyond({
			pool,
			settings: () => harness.settings,
			modelNamed,
			askUsage: async (id) => {
				harness.askedForReserve.push(id);
				await harness.onAskForReserve(id);
			},
			...sources,
		}),
	};

	const harness: Harness = {
		clock,
		accounts,
		state,
		pool,
		affinity,
		told: [],
		tries,
		options: [],
		closed,
		asked: [],
		onAsk: async () => undefined,
		askedForReserve: [],
		onAskForReserve: () => undefined,
		rechecks: 0,
		pauses: [],
		patience: [],
		scripts: new Map(),
		tokens: new Map(),
		onPause: undefined,
		readUsageHeaders: () => ({ snapshot: undefined, activeLimit: undefined, activeWindows: [] }),
		settings: { ...DEFAULT_SETTINGS, rotation: { ...DEFAULT_SETTINGS.rotation, maxWaitMs: 0 } },
		setFor: () => undefined,
		dice: 0,
		repeated: /overloaded|server error|50[0234]|timed out|fetch failed|socket hang up/i,
		models: [],
		exhaustions: [],
		deps,
		play: (account, ...plays) => void harness.scripts.set(account, plays),
		ask: async ({ sessionId = "s", ...options } = {}) => {
			const events: Event[] = [];
			let ends = 0;
			const sink = {
				// As pi sees it: what it has been given does not change any more.
				push: (event: Event) => void events.push(structuredClone(event)),
				end: () => {
					ends += 1;
				},
			};
			const request = {
				model: MODEL,
				context: CONTEXT,
				options: { sessionId: aSessionId(sessionId), fetch: echoing, ...options },
			};
			await failover(request, sink, deps);
			const final = events.at(-1);
			return { events, final, words: wordsOf(final), ends, text: textOf(final) };
		},
	};
	pool.subscribe((event) => {
		harness.told.push(event);
		if (event.type === "exhausted") harness.exhaustions.push(event.why);
	});
	affinity.begin(aSessionId("s"));
	return harness;
}

/** The sentence that the last request of `harness` ended with when no account was left. */
export function gaveUp({ exhaustions, clock }: Harness): string | undefined {
	const why = exhaustions.at(-1);
	return why && exhausted(why, clock.at);
}

async function* asAsync(events: AsyncIterable<Event> | Iterable<Event>): AsyncGenerator<Event> {
	yield* events;
}

function wordsOf(event: Event | undefined): string | undefined {
	return event?.type === "error" ? event.error.errorMessage : undefined;
}

function textOf(event: Event | undefined): string {
	return messageOf(event)
		.map((block) => (block.type === "text" ? block.text : ""))
		.join("");
}

function messageOf(event: Event | undefined): AssistantMessage["content"] {
	if (event?.type === "done") return event.message.content;
	return event?.type === "error" ? event.error.content : [];
}
