import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { SettingsStore } from "../../core/ports.ts";
import type { SessionView } from "../../pi/session-view.ts";
import type { Paint } from "../../ui-kit/panel.ts";
import { footerLine } from "./line.ts";
import { footerModel } from "./model.ts";

interface Ports {
	readonly settings: Pick<SettingsStore, "read">;
	readonly session: Pick<SessionView, "plan" | "nextRequest">;
}

/** Creates the preview of the footer for its preferences panel. */
export function createFooterPreview({ settings, session }: Ports) {
	return (host: ExtensionCommandContext, width: number, paint: Paint): readonly string[] => [
		footerLine(footerModel(session.plan(host), settings.read(), session.nextRequest(host)), width, paint),
	];
}
