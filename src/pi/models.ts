import type { Api, Model } from "@mariozechner/pi-ai";
import type { ExtensionAPI, ExtensionContext } from "@mariozechner/pi-coding-agent";
import { PROVIDER } from "./provider.ts";

/** Creates a function that finds pi's Codex models by id. It finds none before pi has started a session. */
export function createModelLookup(pi: ExtensionAPI): (id: string) => Model<Api> | undefined {
	let registry: ExtensionContext["modelRegistry"] | undefined;
	pi.on("session_start", (_event, ctx) => {
		registry = ctx.modelRegistry;
	});
	return (id) => registry?.find(PROVIDER, id);
}
