import type { Membership } from "../../core/credentials/membership.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, EventLog } from "../../core/ports.ts";
import { jsonChoice, parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import { logAsJson, logAsText } from "./log.ts";

const USUAL = 20;
const COUNT = /^[1-9]\d{0,5}$/;

interface Args {
	readonly count: number;
	readonly asJson: boolean;
}

interface Ports {
	readonly eventLog: Pick<EventLog, "flush" | "read">;
	readonly pool: Pick<Pool, "accounts">;
	readonly membership: Pick<Membership, "lastRemoved">;
	readonly clock: Clock;
}

/** `/multicodex log`: shows the last decisions of all processes. */
export function createLog({ eventLog, pool, membership, clock }: Ports): Subcommand<Args> {
	const usage = "log [n] [--json]";
	return {
		name: "log",
		usage,
		summary: "the last decisions: who served, and why it changed",
		complete: jsonChoice,
		parse: (words) => {
			const given = parseOptions(words, ["--json"], usage);
			if ("failure" in given) return given;
			const [count = String(USUAL), ...others] = given.rest;
			if (others.length > 0 || !COUNT.test(count)) return usageError(usage);
			return { count: Number(count), asJson: given.options.has("--json") };
		},
		run: async ({ count, asJson }) => {
			// Include what this process has just decided.
			await eventLog.flush();
			const decisions = await eventLog.read(count);
			const gone = await membership.lastRemoved();
			const text = logAsText(decisions, [...pool.accounts(), ...(gone ? [gone] : [])], clock.now(), columnsNow());
			return { text, json: logAsJson(decisions), asJson };
		},
	};
}
