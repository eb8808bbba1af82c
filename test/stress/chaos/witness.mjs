/**
 * The host's own package for models as the extension gets it in the chaos, with one difference: a process that set
 * `globalThis.witness` hears of each call of the host's stream function, and of the token that is meant for it.
 */
import * as host from "chaos:pi-ai";

export * from "chaos:pi-ai";
export const streamSimpleOpenAICodexResponses = (model, context, options) => {
	globalThis.witness?.(context, options.apiKey);
	return host.streamSimpleOpenAICodexResponses(model, context, options);
};
