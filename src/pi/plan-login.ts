import { type ExtensionContext, VERSION } from "@mariozechner/pi-coding-agent";
import { offersPlanLogin } from "./host-version.ts";
import { PROVIDER } from "./provider.ts";
import { isVirtual } from "./virtual-models.ts";

/** pi's provider whose ChatGPT sign-in is another grant. It never passes through us. */
const PLAN_PROVIDER = "openai";

/**
 * True if requests of a model use pi's ChatGPT sign-in under `openai`, which `hasPlanLogin` finds in `auth.json`. A key
 * on the command line takes precedence; one in the environment does not.
 */
export function isOnPlanLogin(
	model: ExtensionContext["model"],
	hasPlanLogin: () => boolean,
	hostVersion: string = VERSION,
): boolean {
	if (model?.provider !== PLAN_PROVIDER || !offersPlanLogin(hostVersion)) return false;
	return !process.argv.includes("--api-key") && hasPlanLogin();
}

/** Returns the Codex model to change to: the one of the same name, else the newest; undefined if pi has none. */
export function codexModelLike(model: ExtensionContext["model"], ctx: ExtensionContext): string | undefined {
	const models = ctx.modelRegistry.getAll().filter((each) => each.provider === PROVIDER && !isVirtual(each));
	return (models.find(({ id }) => id === model?.id) ?? models.at(-1))?.id;
}

/**
 * Returns the text for a session on pi's ChatGPT sign-in under `openai`. `model` is the Codex model to change to, if an
 * account could serve it.
 */
export function notServed(model: string | undefined): string {
	const remedy = model === undefined ? "/multicodex add signs in there." : `/model openai-codex/${model}`;
	return `This session uses OpenAI's own ChatGPT sign-in; pi-multicodex serves openai-codex. ${remedy}`;
}
