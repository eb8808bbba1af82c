import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Affinity } from "../../core/affinity.ts";
import type { Pool } from "../../core/pool.ts";
import type { Clock, SettingsStore } from "../../core/ports.ts";
import type { SessionView } from "../../pi/session-view.ts";
import type { Paint } from "../../ui-kit/panel.ts";
import { footerModel } from "./footer.ts";
import { footerLine } from "./line.ts";

interface Ports {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly settings: Pick<SettingsStore, "read">;
	readonly session: Pick<SessionView, "asker">;
	readonly clock: Clock;
}

/** Creates the preview of the footer, for the panel in which its preferences are changed. */
export function createFooterPreview({ pool, affinity, settings, session, clock }: Ports) {
	return (host: ExtensionCommandContext, width: number, paint: Paint): readonly string[] => {
		const shown = { ...session.asker(host), now: clock.now() };
		return [footerLine(footerModel(pool, affinity, settings.read(), shown), width, paint)];
	};
}
