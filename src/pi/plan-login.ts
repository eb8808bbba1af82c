import { type ExtensionContext, VERSION } from "@mariozechner/pi-coding-agent";
import { offersPlanLogin } from "./host-version.ts";
import { PROVIDER } from "./provider.ts";
import { isVirtual } from "./virtual-models.ts";

/** pi's provider whose ChatGPT sign-in is another grant, which never passes through us. */
const PLAN_PROVIDER = "openai";

/**
 * True where requests of a model go out with pi's ChatGPT sign-in under `openai`, which `hasPlanLogin` finds in
 * `auth.json`. A key on the command line comes before it; one in the environment does not.
 */
export function isOnPlanLogin(
	model: ExtensionContext["model"],
	hasPlanLogin: () => boolean,
	hostVersion: string = VERSION,
): boolean {
	if (model?.provider !== PLAN_PROVIDER || !offersPlanLogin(hostVersion)) return false;
	return !process.argv.includes("--api-key") && hasPlanLogin();
}

/** The Codex model to change to: the one of the same name, else the newest; undefined where pi knows none. */
export function codexModelLike(model: ExtensionContext["model"], ctx: ExtensionContext): string | undefined {
	const models = ctx.modelRegistry.getAll().filter((each) => each.provider === PROVIDER && !isVirtual(each));
	return (models.find(({ id }) => id === model?.id) ?? models.at(-1))?.id;
}

/**
 * A session on pi's ChatGPT sign-in under `openai`. `model`: the Codex model to change to, where an account could serve
 * it.
 */
export function notServed(model: string | undefined): string {
	const remedy = model === undefined ? "/multicodex add signs in there." : `/model openai-codex/${model}`;
	return `This session uses OpenAI's own ChatGPT sign-in; pi-multicodex serves openai-codex. ${remedy}`;
}
