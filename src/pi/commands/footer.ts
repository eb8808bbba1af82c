import { FOOTER_PREFERENCES, GENERAL_PREFERENCES } from "../../domain/settings.ts";
import { footerLine } from "../../ui/footer-line.ts";
import { footerModel } from "../footer.ts";
import { generalPreferences, preferencesCommand, preferencesOf } from "./preferences.ts";

/** `/multicodex footer`: what is shown, in the footer and elsewhere; a panel, or `name=value …`. */
export const footer = preferencesCommand({
	name: "footer",
	summary: "what is shown: footer, notices, e-mails",
	title: "What is shown (saved at each change)",
	preferences: [
		...preferencesOf("footer", FOOTER_PREFERENCES),
		...generalPreferences(GENERAL_PREFERENCES, ["notifications", "maskEmails"]),
	],
	preview: (ctx, { pool, settings, clock }, width, paint) => {
		const now = clock.now();
		const [next] = pool.explain({ modelId: ctx.model?.id ?? "", affinity: undefined, sessionId: undefined });
		// Before the first request the line has no account to show; here the next one stands for it.
		const active = pool.active() ?? next?.account.id;
		return [footerLine(footerModel(pool, settings.read(), { now, active }), width, paint)];
	},
});
