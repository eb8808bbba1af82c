import { durationText } from "../../core/duration.ts";
import type { NotifySettings } from "../../core/settings.ts";
import { formatPercent } from "../../ui-kit/format.ts";
import type { Delivery, Screen } from "./outside.ts";
import { chooseWay } from "./terminal.ts";
import { programName } from "./texts.ts";

/** Says what the settings mean here, in whole sentences. */
export function whatIsSent(settings: NotifySettings, screen: Pick<Screen, "isOurs" | "env">): string[] {
	const { to, quiet, warnAt, aheadMs } = settings;
	const warned = warnAt.map(formatPercent).join(", ");
	return [
		wayOf(settings, screen),
		...(to !== "off" && quiet ? [`Nothing is sent from ${clock(quiet.from)} to ${clock(quiet.to)}.`] : []),
		warnAt.length > 0
			? `The chat warns when the last account with quota has ${warned} of a window left.`
			: "The chat does not warn when the last account with quota is nearly empty.",
		...(aheadMs > 0
			? [`It warns up to ${durationText(aheadMs)} before the pool runs out, if there is a forecast.`]
			: []),
	];
}

function wayOf({ to, command, terminal }: NotifySettings, screen: Pick<Screen, "isOurs" | "env">): string {
	if (to === "off") return "Nothing is sent: notices appear only in the chat.";
	if (to === "command") {
		if (command.length === 0) return NO_COMMAND;
		return `${programName(command)} gets each notice on its standard input, as JSON.`;
	}
	if (!screen.isOurs()) return NO_TERMINAL;
	const { way, name, isThroughTmux } = chooseWay(terminal, screen.env);
	if (way === "bell") {
		return terminal === "bell"
			? "The terminal rings its bell."
			: "The terminal is not known to show notices, so it rings its bell.";
	}
	const sequence = way === "osc9" ? "OSC 9" : "OSC 777";
	const passing = isThroughTmux ? " tmux passes it on if its option allow-passthrough is on." : "";
	return `${name ?? "The terminal"} shows notices by ${sequence}.${passing}`;
}

const NO_COMMAND = "There is no command yet: /multicodex notify command <program> [argument …].";
const NO_TERMINAL = "Nothing is sent: this pi does not run in a terminal.";

/** Says how sending a test notice went. */
export function tried(delivery: Delivery, settings: NotifySettings, screen: Pick<Screen, "isOurs" | "env">): string {
	if (delivery.kind === "failed") return delivery.failure;
	const way = wayOf(settings, screen);
	return delivery.kind === "sent" ? `A notice was sent. ${way}` : way;
}

function clock(minutes: number): string {
	return [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":");
}
