import type { Subcommand } from "../../pi/command.ts";
import { FOOTER_PREFERENCES, GENERAL_PREFERENCES } from "../../platform/stores/settings-schema.ts";
import {
	createPreferencesCommand,
	generalPreferences,
	type PreferenceGroup,
	type PreferencePorts,
	preferencesOf,
} from "./command.ts";

interface Ports extends PreferencePorts {
	/** Shows the footer as it is now. */
	readonly previewFooter: PreferenceGroup["preview"];
}

/** `/multicodex footer`: what is shown, in the footer and elsewhere. A panel, or `name=value …`. */
export function createFooterPreferences(ports: Ports): Subcommand {
	const group: PreferenceGroup = {
		name: "footer",
		summary: "what is shown: footer, notices, e-mails",
		title: "What is shown (saved at each change)",
		preferences: [
			...preferencesOf("footer", FOOTER_PREFERENCES),
			...generalPreferences(GENERAL_PREFERENCES, ["notifications", "maskEmails", "ledger"]),
		],
		preview: ports.previewFooter,
	};
	return createPreferencesCommand(group, ports);
}
