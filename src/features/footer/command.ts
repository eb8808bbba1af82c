import { FOOTER_PREFERENCES, GENERAL_PREFERENCES } from "../../core/settings.ts";
import { askerIn } from "../accounts/successor.ts";
import { generalPreferences, preferencesCommand, preferencesOf } from "../preferences/command.ts";
import { footerModel } from "./footer.ts";
import { footerLine } from "./line.ts";

/** `/multicodex footer`: what is shown, in the footer and elsewhere; a panel, or `name=value …`. */
export const footer = preferencesCommand({
	name: "footer",
	summary: "what is shown: footer, notices, e-mails",
	title: "What is shown (saved at each change)",
	preferences: [
		...preferencesOf("footer", FOOTER_PREFERENCES),
		...generalPreferences(GENERAL_PREFERENCES, ["notifications", "maskEmails"]),
	],
	preview: (ctx, deps, width, paint) => {
		const { pool, affinity, settings, clock } = deps;
		const shown = { ...askerIn(ctx, deps), now: clock.now() };
		return [footerLine(footerModel(pool, affinity, settings.read(), shown), width, paint)];
	},
});
