import type { Membership } from "../../core/credentials/membership.ts";
import type { UsageMonitor } from "../../core/pool/usage-monitor.ts";
import {
	type AccountArgs,
	type AccountNames,
	accountChoices,
	accountRef,
	parseAccount,
	type Subcommand,
} from "../../pi/command.ts";
import type { SessionView } from "../../pi/session-view.ts";
import * as texts from "./texts.ts";

interface Ports extends AccountNames {
	readonly membership: Pick<Membership, "setEnabled">;
	readonly session: Pick<SessionView, "isAnyReady" | "nextRequest">;
}

interface EnablePorts extends Ports {
	readonly usage: Pick<UsageMonitor, "refreshStale">;
}

/** `/multicodex enable`: offers an account again that was disabled. */
export function createEnable(ports: EnablePorts): Subcommand<AccountArgs> {
	const { membership, pool, session, usage: monitor } = ports;
	const isOffered = ({ enabled }: AccountArgs["account"]) => !enabled;
	const usage = "enable <account>";
	return {
		name: "enable",
		usage,
		summary: "turn an account on again",
		onAccount: { isOffered, args: (account) => ({ account }) },
		complete: (before) => (before.length === 0 ? accountChoices(ports, isOffered) : []),
		parse: (words) => parseAccount(words, usage, pool),
		run: async ({ account }, { host }) => {
			const json = { account: accountRef(account), enabled: true };
			if (account.enabled) return { text: `Codex account ${account.label} is already on.`, json };
			await membership.setEnabled(account.id, true);
			// Its usage was not fetched while it was disabled.
			if (host.hasUI) void monitor.refreshStale();
			return { text: texts.switchedOn(account, session.nextRequest(host)), json };
		},
	};
}

/** `/multicodex disable`: keeps an account but stops using it. */
export function createDisable(ports: Ports): Subcommand<AccountArgs> {
	const { membership, pool, session } = ports;
	const isOffered = ({ enabled }: AccountArgs["account"]) => enabled;
	const usage = "disable <account>";
	return {
		name: "disable",
		usage,
		summary: "turn an account off: keep it, but do not use it",
		onAccount: { isOffered, args: (account) => ({ account }) },
		complete: (before) => (before.length === 0 ? accountChoices(ports, isOffered) : []),
		parse: (words) => parseAccount(words, usage, pool),
		run: async ({ account }, { host }) => {
			const json = { account: accountRef(account), enabled: false };
			if (!account.enabled) return { text: `Codex account ${account.label} is already off.`, json };
			const wasReady = session.isAnyReady();
			await membership.setEnabled(account.id, false);
			const isNoneReady = wasReady && !session.isAnyReady();
			return { text: texts.switchedOff(account, session.nextRequest(host)), json, isWarning: isNoneReady };
		},
	};
}
