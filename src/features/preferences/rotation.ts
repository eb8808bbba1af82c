import { wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { ROTATION_PREFERENCES } from "../../core/settings.ts";
import { preferencesCommand, preferencesOf } from "./command.ts";
import { startsOn } from "./preview.ts";

/** `/multicodex rotation`: how accounts are chosen and changed; a panel, or `name=value …`. */
export const rotation = preferencesCommand({
	name: "rotation",
	summary: "how accounts are chosen and changed: show or set",
	title: "How accounts are chosen and changed (saved at each change)",
	preferences: preferencesOf("rotation", ROTATION_PREFERENCES),
	preview: (ctx, { pool }, width, paint) => {
		const verdicts = pool.explain({ modelId: ctx.model?.id ?? "", affinity: undefined, sessionId: undefined });
		return wrapTextWithAnsi(paint("text", startsOn(verdicts)), Math.max(1, width - 1)).map((line) => ` ${line}`);
	},
});
