import type { Api, Model } from "@mariozechner/pi-ai";
import type { ExtensionAPI, ExtensionContext } from "@mariozechner/pi-coding-agent";
import { PROVIDER } from "./provider.ts";

/** Finds pi's Codex models by their id; none before pi has begun a session. */
export function createModelLookup(pi: ExtensionAPI): (id: string) => Model<Api> | undefined {
	let registry: ExtensionContext["modelRegistry"] | undefined;
	pi.on("session_start", (_event, ctx) => {
		registry = ctx.modelRegistry;
	});
	return (id) => registry?.find(PROVIDER, id);
}
