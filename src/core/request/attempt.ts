import type { Api, AssistantMessageEvent, Context, Model, SimpleStreamOptions } from "@mariozechner/pi-ai";
import { printable } from "../account.ts";
import type { SessionId } from "../ids.ts";
import { isExhausted, reserveWindowsOf, spentLimit, windowsOf } from "../quota.ts";
import type { ReserveModel, UsageSnapshot, UsageWindow } from "../usage.ts";
import { classify } from "./classify.ts";
import { evidenceFromBody, evidenceFromHeaders, evidenceFromMessage, together } from "./evidence.ts";
import type { FailureEvidence } from "./failure-rules.ts";
import { watchingFirst } from "./first-event.ts";

/** pi's stream options, with `fetch`, which only newer hosts have. */
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
	/** The message for a person: the server's own if we ended the attempt. */
	surfaced(message: string): string;
	/** Did the answer have headers of the backend, which report usage? Over a socket there are none. */
	hasUsageHeaders(): boolean;
	/** Closes the connection, in whatever state it is. */
	release(): void;
}

/** The request of an attempt. */
export interface AttemptRequest {
	readonly model: Model<Api>;
	readonly context: Context;
	readonly options: StreamOptions;
	readonly access: string;
	/** Replay the conversation without encrypted reasoning. */
	readonly stripReasoning: boolean;
	/** Ask for the faster service tier, unless pi or another extension has set one. */
	readonly isFast: boolean;
	/** Draw on this reserve model of the account; `model` is the one that it answers as. */
	readonly reserveModel?: ReserveModel | undefined;
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
	/** The reserve model has these windows now. */
	readonly onReserveModel: (windows: readonly UsageWindow[]) => void;
}

/**
 * Thrown from `onResponse` to end a refused request at once. Every host gives up on an error with "usage limit" in it;
 * 0.73.1 repeats everything else for seven seconds. The text is never shown.
 */
const CUT_SHORT = "refused: usage limit or sign-in";

/** The message of a request to which the backend answered with a redirect. */
export const REDIRECTED =
	"The Codex backend sent a redirect, and pi-multicodex follows none: nothing was sent to where it leads. " +
	"Check baseUrl of openai-codex in models.json.";

let reasonOfRelease: DOMException | undefined;

/** Why a connection is closed: one object for all of them, since each new one would record a stack. */
function over(): DOMException {
	reasonOfRelease ??= new DOMException("This operation was aborted", "AbortError");
	return reasonOfRelease;
}

/** Starts one attempt. Never throws; an error comes out of `events`. */
export function startAttempt(request: AttemptRequest, deps: Deps): Attempt {
	const { delegate, backend, now } = deps;
	const { model, context, options, reserveModel } = request;
	const readUsageHeaders: ReadUsageHeaders = (headers, at) => {
		const usage = deps.readUsageHeaders(headers, at);
		return reserveModel ? usageOf(reserveModel, usage) : usage;
	};
	const released = new AbortController();
	let answered: { status: number; headers: Record<string, string>; usage: ReturnType<ReadUsageHeaders> } | undefined;
	let body: string | undefined;
	/** True once something may have been sent; over a socket there is no other sign of that. */
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
			// Gateways set the content type of a page on anything.
			...(refusal && (body ?? "").trim() !== "" && { html: inBody.html === true }),
			headers,
			...hit,
			...(!isOnItsWay && { unsent: true }),
		};
	};

	const tell = (usage: UsageSnapshot, limitId: string | undefined) => {
		const windows = reserveModel && reserveWindowsOf(usage);
		if (!reserveModel) deps.onUsage(usage, limitId);
		else if (windows) deps.onReserveModel(windows);
	};

	const isAccountFault = (status: number) => {
		const { remedy } = classify(evidence(CUT_SHORT), { now: now(), modelId: model.id, cooldownMs: 0 });
		// The body explains a 403. A host that does not give it to us reads it to its end.
		const isOpen = remedy === "try-elsewhere-once" && body === undefined && status === 403;
		return remedy !== "surface" && !isOpen;
	};

	const inner: StreamOptions = {
		...options,
		apiKey: request.access,
		signal: options.signal ? AbortSignal.any([options.signal, released.signal]) : released.signal,
		fetch: async (input, init) => {
			isOnItsWay = true;
			// The backend sends no redirects, and another origin would get the whole conversation.
			const response = await (options.fetch ?? backend.fetch)(input, { ...init, redirect: "manual" });
			body = response.ok || isRedirect(response) ? undefined : await backend.readRefusal(response.clone());
			return response;
		},
		onPayload: async (payload, target) => {
			isOnItsWay = true;
			const theirs = (await options.onPayload?.(payload, target)) ?? payload;
			const replayable = request.stripReasoning ? withoutReasoning(theirs) : theirs;
			const timely = request.isFast ? asPriority(replayable) : replayable;
			return reserveModel ? naming(reserveModel.wireModel, timely) : timely;
		},
		onResponse: async (response, target) => {
			isOnItsWay = true;
			const { status, headers } = response;
			const usage = readUsageHeaders(headers, now());
			answered = { status, headers, usage };
			if (usage.snapshot) tell(usage.snapshot, status < 400 ? usage.activeLimit : undefined);
			await options.onResponse?.(response, target);
			if (isRedirect(response) || (response.status >= 400 && isAccountFault(response.status)))
				throw new Error(CUT_SHORT);
		},
	};

	return {
		// Called with the first look at it, so that a synchronous throw becomes a failure of the stream.
		events: watchingFirst(
			() => delegate.stream(model, context, inner),
			(event) => {
				if (event && event.type !== "error") isOnItsWay = true;
			},
		),
		evidence,
		surfaced: (message) => {
			if (message !== CUT_SHORT) return message;
			if (answered && isRedirect(answered)) return REDIRECTED;
			const { message: reported, code } = evidence(message);
			return reported ?? refusedWith(answered?.status, code);
		},
		hasUsageHeaders: () => Object.keys(answered?.headers ?? {}).some((name) => name.startsWith("x-codex-")),
		release: () => released.abort(over()),
	};
}

/** The message for a refusal that came without one. */
export function refusedWith(status: number | undefined, code: string | undefined): string {
	return `Codex refused the request with status ${status}${code ? ` (${printable(code)})` : ""}.`;
}

/**
 * Finds the limit that a refusal is about, from its headers. If they name the general limit or none, and that has quota
 * left while another limit is spent, it is the other one.
 */
function limitHit(
	{ activeLimit, activeWindows, snapshot }: ReturnType<ReadUsageHeaders>,
	now: number,
): Pick<FailureEvidence, "limitId" | "windows"> {
	if (activeLimit !== undefined) return { limitId: activeLimit, windows: activeWindows };
	const spent = snapshot && spentLimit(snapshot, now);
	return !spent || isExhausted(activeWindows, now) ? { windows: activeWindows } : spent;
}

/**
 * The usage in the headers of an answer on the reserve model. There the general windows may be those of the reserve as
 * well, so nothing is taken from them but the end of a refusal that lists no other.
 */
function usageOf(
	{ limitId }: ReserveModel,
	{ snapshot, activeWindows }: ReturnType<ReadUsageHeaders>,
): ReturnType<ReadUsageHeaders> {
	const reported = snapshot && (reserveWindowsOf(snapshot) ?? windowsOf(snapshot));
	return { snapshot, activeLimit: limitId, activeWindows: reported ?? activeWindows };
}

/** Is this a redirect, which is not followed? Some runtimes hide it behind status 0. */
function isRedirect({ status }: { readonly status: number }): boolean {
	return status === 0 || (status >= 300 && status < 400);
}

/**
 * Removes reasoning items from the payload, and the ids of the other items: the backend refuses an item that refers to
 * missing reasoning.
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

/** Asks for the faster service tier, unless pi or another extension has set one. */
function asPriority(payload: unknown): unknown {
	return isRecord(payload) && payload.service_tier === undefined ? { ...payload, service_tier: "priority" } : payload;
}

/** The payload for another model. The host's own is what it keeps of the answer: session and costs know no other. */
function naming(model: string, payload: unknown): unknown {
	return isRecord(payload) ? { ...payload, model } : payload;
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}
