import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";

/** Notices when a turn of the person starts. */
interface Turns {
	/** Called with a prompt that starts a turn. */
	prompted(): void;
}

/** Listens for turns. `begin` is called at the start of each one, before its first request. */
export function followTurns(pi: ExtensionAPI, begin: () => void): Turns {
	/**
	 * True after a prompt has started a turn whose run has not begun. A summary that pi makes in between belongs to the
	 * turn.
	 */
	let isPrompted = false;
	// Not for a retry. A run without a prompt is a turn too.
	pi.on("before_agent_start", () => {
		if (!isPrompted) begin();
		isPrompted = false;
	});
	// Consent for one turn does not cover a summary that the person asks for afterwards. The oldest hosts give no reason.
	pi.on("session_before_compact", (event, ctx) => {
		const isByHand = "reason" in event ? event.reason === "manual" : ctx.isIdle();
		if (isByHand && !isPrompted) begin();
	});
	pi.on("session_before_tree", begin);
	return {
		prompted: () => {
			isPrompted = true;
			begin();
		},
	};
}
