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
 * Calls pi's own Codex stream function past the registry, which leads to us. `modelRegistry.stream()` and `complete()`
 * arrive here as well, with options that only the full function takes: the simple one drops them without a word.
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
			// A clean-up of another extension threw; ours has run.
			return;
		}
	},
};

/** Options of the full function alone. */
type FullOptions = Pick<
	OpenAICodexResponsesOptions,
	"reasoningEffort" | "reasoningSummary" | "serviceTier" | "textVerbosity"
>;

/** A caller that gives `reasoning` has called the simple function: an effort that it means is in there. */
function isForFullFunction(options: StreamOptions & FullOptions): boolean {
	const { reasoning, reasoningEffort, reasoningSummary, serviceTier, textVerbosity } = options;
	if (reasoningEffort !== undefined) return true;
	if (reasoning !== undefined) return false;
	return [reasoningSummary, serviceTier, textVerbosity].some((option) => option !== undefined);
}

/** Our place in the host's registry of stream functions. */
export interface Place {
	/** A request has come to us: whatever leads here now is ours. */
	reached(): void;
	/** Takes the place back where the host has put its own function there. */
	keep(): void;
	/** The events of a stream of the host's, which loses us the place by its start. */
	keptDuring(events: AsyncIterable<AssistantMessageEvent>): AsyncIterable<AssistantMessageEvent>;
}

/**
 * Keeps our place on hosts that find a stream function by its api (0.73.1 to 0.79): from 0.79.8 to 0.79.10 each call of
 * the host's own function registers that function anew, over us. An entry that we have been reached by is never
 * touched: on hosts that compose by provider that is the host's own, which does not change, and after a registration of
 * another extension we are not reached any more.
 */
export function createPlace(register: () => void): Place {
	const ours = new WeakSet<object>();
	// A host without this registry has nothing that could be lost.
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
