import { wrapTextWithAnsi } from "@mariozechner/pi-tui";
import type { Pool } from "../../core/pool/pool.ts";
import type { Subcommand } from "../../pi/command.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { ROTATION_PREFERENCES } from "../../platform/stores/settings-schema.ts";
import { createPreferencesCommand, type PreferenceGroup, type PreferencePorts, preferencesOf } from "./command.ts";
import { startsOn } from "./preview.ts";

interface Ports extends PreferencePorts {
	readonly pool: Pick<Pool, "emit" | "plan" | "subscribe">;
	readonly session: Pick<SessionView, "request">;
}

/** `/multicodex rotation`: how accounts are chosen and changed. A panel, or `name=value …`. */
export function createRotation(ports: Ports): Subcommand {
	const group: PreferenceGroup = {
		name: "rotation",
		summary: "how accounts are chosen and changed: show or set",
		title: "How accounts are chosen and changed (saved at each change)",
		preferences: preferencesOf("rotation", ROTATION_PREFERENCES),
		preview: (host, width, paint) => {
			const request = { modelId: ports.session.request(host).modelId, affinity: undefined, sessionId: undefined };
			const text = paint("text", startsOn(ports.pool.plan(request)));
			return wrapTextWithAnsi(text, Math.max(1, width - 1)).map((line) => ` ${line}`);
		},
	};
	return createPreferencesCommand(group, ports);
}
