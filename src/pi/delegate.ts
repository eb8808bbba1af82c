import type {
	Api,
	AssistantMessageEvent,
	AssistantMessageEventStream,
	Context,
	Model,
	OpenAICodexResponsesOptions,
} from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import type { CodexDelegate, StreamOptions } from "../core/request/attempt.ts";
import { watchingFirst } from "../core/request/first-event.ts";

/** The api of pi's built-in Codex provider. */
export const API = "openai-codex-responses";

/**
 * Calls pi's own Codex stream function directly, since the registry would lead back to us. Calls of
 * `modelRegistry.stream()` and `complete()` arrive here as well, with options that only the full function takes: the
 * simple one silently drops them.
 */
export function streamOfHost(model: Model<Api>, context: Context, options: StreamOptions): AssistantMessageEventStream {
	const codex = model as Model<typeof API>;
	return isForFullFunction(options)
		? ai.streamOpenAICodexResponses(codex, context, options)
		: ai.streamSimpleOpenAICodexResponses(codex, context, options);
}

/** pi's own Codex stream function, and the sockets that it keeps. */
export const delegate: CodexDelegate = {
	stream: streamOfHost,
	forgetSession: (sessionId) => {
		try {
			ai.cleanupSessionResources(sessionId);
		} catch {
			// A clean-up of another extension threw. Ours has run.
			return;
		}
	},
};

/** Options that only the full function takes. */
type FullOptions = Pick<
	OpenAICodexResponsesOptions,
	"reasoningEffort" | "reasoningSummary" | "serviceTier" | "textVerbosity"
>;

/**
 * True if the full function must be called. A caller that passes `reasoning` has called the simple one, and that
 * includes the effort it wants.
 */
function isForFullFunction(options: StreamOptions & FullOptions): boolean {
	const { reasoning, reasoningEffort, reasoningSummary, serviceTier, textVerbosity } = options;
	if (reasoningEffort !== undefined) return true;
	if (reasoning !== undefined) return false;
	return [reasoningSummary, serviceTier, textVerbosity].some((option) => option !== undefined);
}

/** Our entry in the host's registry of stream functions. */
export interface Place {
	/** Records that a request has reached us: the present entry leads to us. */
	reached(): void;
	/** Registers us again if the host has put its own function there. */
	keep(): void;
	/** Returns the events of a host's stream whose start may replace our entry, and keeps the entry. */
	keptDuring(events: AsyncIterable<AssistantMessageEvent>): AsyncIterable<AssistantMessageEvent>;
}

/**
 * Keeps our entry on hosts that find a stream function by its api (0.73.1 to 0.79): from 0.79.8 to 0.79.10 each call of
 * the host's own function registers that function again, over ours. An entry through which we were reached is never
 * touched. On hosts that compose by provider, that is the host's own entry, which does not change; and once another
 * extension has registered, we are no longer reached.
 */
export function createPlace(register: () => void): Place {
	const ours = new WeakSet<object>();
	// A host without this registry has nothing to lose.
	const entry = (): object | undefined => ("getApiProvider" in ai ? ai.getApiProvider(API) : undefined);
	const reached = () => {
		const leading = entry();
		if (leading) ours.add(leading);
	};
	const keep = () => {
		const leading = entry();
		if (!leading || ours.has(leading)) return;
		register();
		reached();
	};
	return {
		reached,
		keep,
		keptDuring: (events) => watchingFirst(() => events, keep),
	};
}
