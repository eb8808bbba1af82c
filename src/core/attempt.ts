import type { Api, AssistantMessageEvent, Context, Model, SimpleStreamOptions } from "@mariozechner/pi-ai";
import { printable } from "./account.ts";
import { classify } from "./classify.ts";
import { evidenceFromBody, evidenceFromHeaders, evidenceFromMessage, together } from "./evidence.ts";
import type { FailureEvidence } from "./failure-rules.ts";
import type { SessionId } from "./ids.ts";
import { isExhausted, type UsageSnapshot, type UsageWindow } from "./usage.ts";

/** pi's stream options, with the one that only newer hosts know. */
export type StreamOptions = SimpleStreamOptions & { readonly fetch?: typeof globalThis.fetch };

/** pi's own Codex stream function. */
export interface CodexDelegate {
	stream(model: Model<Api>, context: Context, options: StreamOptions): AsyncIterable<AssistantMessageEvent>;
	/** Closes the session's cached sockets, and with them any continuation of a response. */
	forgetSession(sessionId: SessionId): void;
}

/** Reads usage from lower-cased response headers. */
export type ReadUsageHeaders = (
	headers: Readonly<Record<string, string>>,
	now: number,
) => {
	readonly snapshot: UsageSnapshot | undefined;
	readonly activeLimit: string | undefined;
	readonly activeWindows: readonly UsageWindow[];
};

/** One try on one account. */
export interface Attempt {
	readonly events: AsyncIterable<AssistantMessageEvent>;
	/** Everything known about why it failed; `message` is the host's. */
	evidence(message: string): FailureEvidence;
	/** The message a person may see: the server's own where the try was cut short by us. */
	surfaced(message: string): string;
	/**
	 * Did the answer come with headers of the backend, which say what is left where there are windows? No socket's does.
	 */
	hasUsageHeaders(): boolean;
	/** Lets go of the connection, whatever state it is in. */
	release(): void;
}

/** What an attempt is made of. */
export interface AttemptRequest {
	readonly model: Model<Api>;
	readonly context: Context;
	readonly options: StreamOptions;
	readonly access: string;
	/** Replay the conversation without encrypted reasoning. */
	readonly stripReasoning: boolean;
	/** Ask for the faster service tier, unless somebody has asked for one already. */
	readonly isFast: boolean;
}

/** The way to the Codex backend. */
export interface BackendAccess {
	readonly fetch: typeof globalThis.fetch;
	/**
	 * Reads the beginning of a refused request's body, within a moment; undefined if the connection broke. Never rejects.
	 */
	readonly readRefusal: (response: Response) => Promise<string | undefined>;
}

interface Deps {
	readonly delegate: CodexDelegate;
	readonly backend: BackendAccess;
	readonly readUsageHeaders: ReadUsageHeaders;
	readonly now: () => number;
	/** `limitId`: the request was answered on a limit of its own. */
	readonly onUsage: (usage: UsageSnapshot, limitId: string | undefined) => void;
}

/**
 * Thrown from `onResponse` to end a refused request at once. Every host gives up on an error with "usage limit" in it;
 * 0.73.1 repeats everything else for seven seconds. Nobody sees this text.
 */
const CUT_SHORT = "refused: usage limit or sign-in";

/** Ends a request that the backend has sent elsewhere. */
export const REDIRECTED =
	"The Codex backend sent a redirect, and pi-multicodex follows none: nothing was sent to where it leads. Check baseUrl of openai-codex in models.json.";

/** Starts one try. Never throws; whatever goes wrong comes out of `events`. */
export function startAttempt(request: AttemptRequest, deps: Deps): Attempt {
	const { delegate, backend, readUsageHeaders, now, onUsage } = deps;
	const { model, context, options } = request;
	const released = new AbortController();
	let answered: { status: number; headers: Record<string, string>; usage: ReturnType<ReadUsageHeaders> } | undefined;
	let body: string | undefined;
	/** From here on something may have gone out: over a socket nothing else tells of it. */
	let isOnItsWay = false;

	const evidence = (message: string): FailureEvidence => {
		const inMessage = message === CUT_SHORT ? {} : evidenceFromMessage(message, now());
		const refusal = answered && answered.status >= 400 ? answered : undefined;
		const headers = refusal?.headers ?? inMessage.headers ?? answered?.headers ?? {};
		const usage = headers === answered?.headers ? answered.usage : readUsageHeaders(headers, now());
		const hit = limitHit(usage, now());
		const inBody = refusal && body !== undefined ? evidenceFromBody(body, now()) : {};
		return {
			...together(together(evidenceFromHeaders(headers, now()), inMessage), inBody),
			...(refusal && { status: refusal.status }),
			// Gateways call anything a page.
			...(refusal && (body ?? "").trim() !== "" && { html: inBody.html === true }),
			headers,
			...hit,
			...(!isOnItsWay && { unsent: true }),
		};
	};

	const isAccountFault = (status: number) => {
		const { remedy } = classify(evidence(CUT_SHORT), { now: now(), modelId: model.id, cooldownMs: 0 });
		// What a 403 is about stands in its body: a host that keeps that from us reads it to its end.
		const isOpen = remedy === "try-elsewhere-once" && body === undefined && status === 403;
		return remedy !== "surface" && !isOpen;
	};

	const inner: StreamOptions = {
		...options,
		apiKey: request.access,
		signal: options.signal ? AbortSignal.any([options.signal, released.signal]) : released.signal,
		fetch: async (input, init) => {
			isOnItsWay = true;
			// The backend sends none, and another origin would get the whole conversation.
			const response = await (options.fetch ?? backend.fetch)(input, { ...init, redirect: "manual" });
			body = response.ok || isRedirect(response) ? undefined : await backend.readRefusal(response.clone());
			return response;
		},
		onPayload: async (payload, target) => {
			isOnItsWay = true;
			const theirs = (await options.onPayload?.(payload, target)) ?? payload;
			const replayable = request.stripReasoning ? withoutReasoning(theirs) : theirs;
			return request.isFast ? asPriority(replayable) : replayable;
		},
		onResponse: async (response, target) => {
			isOnItsWay = true;
			const { status, headers } = response;
			const usage = readUsageHeaders(headers, now());
			answered = { status, headers, usage };
			if (usage.snapshot) onUsage(usage.snapshot, status < 400 ? usage.activeLimit : undefined);
			await options.onResponse?.(response, target);
			if (isRedirect(response) || (response.status >= 400 && isAccountFault(response.status)))
				throw new Error(CUT_SHORT);
		},
	};

	return {
		// Called inside the generator, so that a synchronous throw becomes part of the stream's failure.
		events: (async function* () {
			for await (const event of delegate.stream(model, context, inner)) {
				if (event.type !== "error") isOnItsWay = true;
				yield event;
			}
		})(),
		evidence,
		surfaced: (message) => {
			if (message !== CUT_SHORT) return message;
			if (answered && isRedirect(answered)) return REDIRECTED;
			const { message: reported, code } = evidence(message);
			return reported ?? refusedWith(answered?.status, code);
		},
		hasUsageHeaders: () => Object.keys(answered?.headers ?? {}).some((name) => name.startsWith("x-codex-")),
		release: () => released.abort(),
	};
}

/** The message for a refusal that came without one. */
export function refusedWith(status: number | undefined, code: string | undefined): string {
	return `Codex refused the request with status ${status}${code ? ` (${printable(code)})` : ""}.`;
}

/**
 * The limit that a refusal is about, as its headers tell. Where they name the general one, or none, and that has room
 * beside a further one that is spent, it is the further one.
 */
function limitHit(
	{ activeLimit, activeWindows, snapshot }: ReturnType<ReadUsageHeaders>,
	now: number,
): Pick<FailureEvidence, "limitId" | "windows"> {
	if (activeLimit !== undefined) return { limitId: activeLimit, windows: activeWindows };
	const [spent] = Object.entries(snapshot?.limits ?? {}).filter(([, { windows }]) => isExhausted(windows, now));
	if (!spent || isExhausted(activeWindows, now)) return { windows: activeWindows };
	return { limitId: spent[0], windows: spent[1].windows };
}

/** A redirect that was not followed; where a runtime hides it, its status is 0. */
function isRedirect({ status }: { readonly status: number }): boolean {
	return status === 0 || (status >= 300 && status < 400);
}

/**
 * The payload without reasoning items. The other items lose their ids: the backend refuses an item that refers to
 * reasoning which is not there.
 */
function withoutReasoning(payload: unknown): unknown {
	if (!isRecord(payload) || !Array.isArray(payload.input)) return payload;
	const input = payload.input
		.filter((item: unknown) => !(isRecord(item) && item.type === "reasoning"))
		.map((item: unknown) => {
			if (!isRecord(item)) return item;
			const { id: _id, ...rest } = item;
			return rest;
		});
	return { ...payload, input };
}

/** What another extension, or pi, has chosen stays. */
function asPriority(payload: unknown): unknown {
	return isRecord(payload) && payload.service_tier === undefined ? { ...payload, service_tier: "priority" } : payload;
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}
