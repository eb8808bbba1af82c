import type { Api, AssistantMessageEvent, Context, Model, SimpleStreamOptions } from "@mariozechner/pi-ai";
import { printable } from "../account.ts";
import type { SessionId } from "../ids.ts";
import { isExhausted, isNamedAfter, isResetOf, reserveWindowsOf, spentLimit, windowsOf } from "../quota.ts";
import type { MeteredLimit, ReserveModel, UsageSnapshot, UsageWindow } from "../usage.ts";
import { classify } from "./classify.ts";
import { evidenceFromBody, evidenceFromHeaders, evidenceFromMessage, together } from "./evidence.ts";
import type { FailureEvidence } from "./failure-rules.ts";
import { watchingFirst } from "./first-event.ts";

/** pi's stream options, plus `fetch`, which only newer hosts have. */
export type StreamOptions = SimpleStreamOptions & { readonly fetch?: typeof globalThis.fetch };

/** pi's own Codex stream function. */
export interface CodexDelegate {
	stream(model: Model<Api>, context: Context, options: StreamOptions): AsyncIterable<AssistantMessageEvent>;
	/** Closes the session's cached sockets, and with them any response that could be continued. */
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

/** One try of a request on one account. */
export interface Attempt {
	readonly events: AsyncIterable<AssistantMessageEvent>;
	/** Everything known about the failure; `message` is the host's. */
	evidence(message: string): FailureEvidence;
	/** The message to show: the server's own if we ended the attempt, otherwise `message`. */
	surfaced(message: string): string;
	/** True if the answer had headers of the backend, which report usage. An answer over a socket has none. */
	hasUsageHeaders(): boolean;
	/** Closes the connection, whatever its state. */
	release(): void;
}

/** The request of an attempt. */
interface AttemptRequest {
	readonly model: Model<Api>;
	readonly context: Context;
	readonly options: StreamOptions;
	readonly access: string;
	/** Sends the conversation without encrypted reasoning. */
	readonly stripReasoning: boolean;
	/** Asks for the faster service tier, unless pi or another extension has set one. */
	readonly isFast: boolean;
	/** The reserve model of the account to use. `model` is the model that it answers as. */
	readonly reserveModel?: ReserveModel | undefined;
}

/** Access to the Codex backend. */
export interface BackendAccess {
	readonly fetch: typeof globalThis.fetch;
	/**
	 * Reads the beginning of a refused request's body, within a moment. Undefined if the connection broke. Never rejects.
	 */
	readonly readRefusal: (response: Response) => Promise<string | undefined>;
}

interface Deps {
	readonly delegate: CodexDelegate;
	readonly backend: BackendAccess;
	readonly readUsageHeaders: ReadUsageHeaders;
	readonly now: () => number;
	/** Called with reported usage. `limitId` is set if the request was answered on a limit of its own. */
	readonly onUsage: (usage: UsageSnapshot, limitId: string | undefined) => void;
	/** Called with the current windows of the reserve model. */
	readonly onReserveModel: (windows: readonly UsageWindow[]) => void;
}

/**
 * Thrown from `onResponse` to end a refused request at once. Every host gives up on an error that contains "usage
 * limit"; 0.73.1 repeats any other error for seven seconds. The text is never shown.
 */
const CUT_SHORT = "refused: usage limit or sign-in";

/** The message of a request to which the backend answered with a redirect. */
export const REDIRECTED =
	"The Codex backend sent a redirect, and pi-multicodex follows none: nothing was sent to where it leads. " +
	"Check baseUrl of openai-codex in models.json.";

let reasonOfRelease: DOMException | undefined;

/**
 * Creates the reason for closing a connection. All connections share one object, since each new one would record a
 * stack.
 */
function over(): DOMException {
	reasonOfRelease ??= new DOMException("This operation was aborted", "AbortError");
	return reasonOfRelease;
}

/** Starts one attempt. Never throws; errors come out of `events`. */
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
	/** True once something may have been sent. Nothing else shows this for a socket. */
	let isOnItsWay = false;

	const evidence = (message: string): FailureEvidence => {
		const inMessage = message === CUT_SHORT ? {} : evidenceFromMessage(message, now());
		const refusal = answered && answered.status >= 400 ? answered : undefined;
		const headers = refusal?.headers ?? inMessage.headers ?? answered?.headers ?? {};
		const usage = headers === answered?.headers ? answered.usage : readUsageHeaders(headers, now());
		const inBody = refusal && body !== undefined ? evidenceFromBody(body, now()) : {};
		const said = together(together(evidenceFromHeaders(headers, now()), inMessage), inBody);
		const hit = limitHit(usage, said, model.id, now());
		return {
			...said,
			...(refusal && { status: refusal.status }),
			// Gateways label any body as an HTML page, so the content decides.
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
		// The body explains a 403. If the host does not hand it to us, the host has to read it to the end.
		const isOpen = remedy === "try-elsewhere-once" && body === undefined && status === 403;
		return remedy !== "surface" && !isOpen;
	};

	const inner: StreamOptions = {
		...options,
		apiKey: request.access,
		signal: options.signal ? AbortSignal.any([options.signal, released.signal]) : released.signal,
		fetch: async (input, init) => {
			isOnItsWay = true;
			// The backend never redirects. Following a redirect would send the whole conversation to another origin.
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
		// The stream is opened on the first read, so that a synchronous throw becomes a failure of the stream.
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

/** Returns the message for a refusal that came without one. */
export function refusedWith(status: number | undefined, code: string | undefined): string {
	return `Codex refused the request with status ${status}${code ? ` (${printable(code)})` : ""}.`;
}

/**
 * Finds the limit that a refusal of `modelId` is about, from its headers. If they name the general limit or none, and
 * that limit has quota left while another one is spent, the refusal is about the other one: unless that bears the name
 * of another model, the refusal names another reset, or it is a throttle. Headers list every limit with each answer.
 */
function limitHit(
	{ activeLimit, activeWindows, snapshot }: ReturnType<ReadUsageHeaders>,
	{ code, resetsAt }: FailureEvidence,
	modelId: string,
	now: number,
): Pick<FailureEvidence, "limitId" | "windows"> {
	if (activeLimit !== undefined) return { limitId: activeLimit, windows: activeWindows };
	const isIts = ({ name, windows }: MeteredLimit) => {
		if (isResetOf(windows, resetsAt, now)) return true;
		if (name !== undefined) return isNamedAfter(name, modelId);
		return resetsAt === undefined && code !== "rate_limit_exceeded";
	};
	const spent = snapshot && !isExhausted(activeWindows, now) ? spentLimit(snapshot, now, isIts) : undefined;
	return spent ?? { windows: activeWindows };
}

/**
 * Reads usage from the headers of an answer on the reserve model. Such an answer may report the reserve's windows as
 * the general ones, so the general windows only tell when a refusal ends, and only if it lists no others.
 */
function usageOf(
	{ limitId }: ReserveModel,
	{ snapshot, activeWindows }: ReturnType<ReadUsageHeaders>,
): ReturnType<ReadUsageHeaders> {
	const reported = snapshot && (reserveWindowsOf(snapshot) ?? windowsOf(snapshot));
	return { snapshot, activeLimit: limitId, activeWindows: reported ?? activeWindows };
}

/** True for a redirect. We never follow one. Some runtimes hide it behind status 0. */
function isRedirect({ status }: { readonly status: number }): boolean {
	return status === 0 || (status >= 300 && status < 400);
}

/**
 * Removes reasoning items from the payload, and the ids of all other items: the backend refuses an item that refers to
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

/** Requests the faster service tier, unless pi or another extension has set one. */
function asPriority(payload: unknown): unknown {
	return isRecord(payload) && payload.service_tier === undefined ? { ...payload, service_tier: "priority" } : payload;
}

/**
 * Names another model in the payload. The host still records its own model, which the session and its costs refer to.
 */
function naming(model: string, payload: unknown): unknown {
	return isRecord(payload) ? { ...payload, model } : payload;
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}
