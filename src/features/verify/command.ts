import { VERSION } from "@mariozechner/pi-coding-agent";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, EventLog, SettingsStore, SharedPools } from "../../core/ports.ts";
import { type CommandContext, type Outcome, parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { isOnPlanLogin } from "../../pi/plan-login.ts";
import type { PoolModel } from "../../pi/pool-model.ts";
import { baseUrlOf, rivalIn } from "../../pi/provider.ts";
import { sessionIdOf } from "../../pi/session-id.ts";
import type { HealthCheck } from "./disk.ts";
import { offlineFacts } from "./facts.ts";
import { diagnose, hasProblem } from "./rules.ts";
import { verifiedAsJson, verifiedAsText } from "./view.ts";

const JSON_OPTION = "--json";
const FIX = "--fix";

interface Args {
	readonly isFixing: boolean;
	readonly asJson: boolean;
}

interface Ports {
	readonly health: HealthCheck;
	readonly pool: Pool;
	readonly settings: Pick<SettingsStore, "read">;
	readonly eventLog: Pick<EventLog, "read">;
	readonly clock: Clock;
	readonly isFromSource: boolean;
	readonly poolModel: Pick<PoolModel, "isAvailable" | "shown">;
	readonly sharedPools: Pick<SharedPools, "status" | "look">;
}

/** `/multicodex verify`: shows what is wrong, and how to fix it. Changes nothing without `--fix`. */
export function createVerify(ports: Ports): Subcommand<Args> {
	const usage = "verify [--json] [--fix]";
	return {
		name: "verify",
		usage,
		summary: "what is wrong, and how to fix it",
		isLookOnly: true,
		complete: (before) =>
			[
				{ value: JSON_OPTION, label: JSON_OPTION, description: "as one JSON document" },
				{ value: FIX, label: FIX, description: "repair permissions, stale locks and damaged files" },
			].filter(({ value }) => !before.includes(value)),
		parse: (words) => {
			const given = parseOptions(words, [JSON_OPTION, FIX], usage);
			if ("failure" in given) return given;
			const { options, rest } = given;
			return rest.length > 0 ? usageError(usage) : { isFixing: options.has(FIX), asJson: options.has(JSON_OPTION) };
		},
		run: (args, ctx) => verified(ctx, args, ports),
	};
}

async function verified(
	{ host, signal }: CommandContext,
	{ isFixing, asJson }: Args,
	{ health, pool, settings, clock, eventLog, isFromSource, poolModel, sharedPools }: Ports,
): Promise<Outcome> {
	const repairs = isFixing ? await health.repair() : [];
	const [facts, endpoints, sharedPool] = await Promise.all([
		offlineFacts({ health, pool, settings, eventLog, clock }, sessionIdOf(host)),
		health.reach(baseUrlOf(host)),
		sharedPools.status() && sharedPools.look(signal),
	]);
	const findings = diagnose({
		...facts,
		endpoints,
		sharedPool,
		hostVersion: VERSION,
		nodeVersion: process.versions.node,
		isFromSource,
		isOnPlanLogin: isOnPlanLogin(host.model, () => facts.hasPlanLogin === true),
		rival: rivalIn(host),
		chain: { isAvailable: poolModel.isAvailable, links: poolModel.shown(host) },
	});
	const seen = { findings, repairs, isFixing, accounts: facts.accounts };
	return {
		text: verifiedAsText(seen),
		json: verifiedAsJson(seen),
		asJson,
		isFailing: hasProblem(findings),
	};
}
