import { type ExtensionCommandContext, VERSION } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../core/account.ts";
import { EVERYWHERE, membersOf } from "../../core/account-sets.ts";
import { reachedCap } from "../../core/caps.ts";
import type { Pool } from "../../core/pool.ts";
import type { Clock, EventLog, SettingsStore } from "../../core/ports.ts";
import { includedOf, windowName } from "../../core/quota.ts";
import { knownCredits, unexpired } from "../../core/reset-credits.ts";
import { type Outcome, parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { isOnPlanLogin } from "../../pi/plan-login.ts";
import type { PoolModel } from "../../pi/pool-model.ts";
import { baseUrlOf, rivalIn } from "../../pi/provider.ts";
import { isFolder, realFolder } from "../../platform/session-folders.ts";
import type { HealthCheck } from "./disk.ts";
import { type CapFact, diagnose, hasProblem, type SetFact } from "./rules.ts";
import { verifiedAsJson, verifiedAsText } from "./view.ts";

const JSON_OPTION = "--json";
const FIX = "--fix";

/** Variables that change what we do, or where our requests go. Their values are never read. */
const VARIABLES = [
	"PI_CODING_AGENT_DIR",
	"PI_MULTICODEX_AUTH_URL",
	"CODEX_HOME",
	"PRODEX_HOME",
	"NODE_EXTRA_CA_CERTS",
	"NODE_USE_ENV_PROXY",
	"HTTP_PROXY",
	"http_proxy",
	"HTTPS_PROXY",
	"https_proxy",
	"ALL_PROXY",
	"all_proxy",
	"NO_PROXY",
	"no_proxy",
];
/** Only this value of it switches anything. */
const TLS = { name: "NODE_TLS_REJECT_UNAUTHORIZED", value: "0" };

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
}

/** `/multicodex verify`: what is wrong, and what to do about it. Changes nothing without `--fix`. */
export function createVerify(ports: Ports): Subcommand<Args> {
	const usage = "verify [--json] [--fix]";
	return {
		name: "verify",
		usage,
		summary: "what is wrong, and what to do about it",
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
		run: (args, { host }) => verified(host, args, ports),
	};
}

async function verified(
	host: ExtensionCommandContext,
	{ isFixing, asJson }: Args,
	{ health, pool, settings, clock, eventLog, isFromSource, poolModel }: Ports,
): Promise<Outcome> {
	const repairs = isFixing ? await health.repair() : [];
	const [disk, endpoints, decisions] = await Promise.all([
		health.look(),
		health.reach(baseUrlOf(host)),
		eventLog.read(Number.MAX_SAFE_INTEGER),
	]);
	const findings = diagnose({
		...disk,
		endpoints,
		now: clock.now(),
		isEnabled: settings.read().enabled,
		hostVersion: VERSION,
		nodeVersion: process.versions.node,
		isFromSource,
		isOnPlanLogin: isOnPlanLogin(host.model, () => disk.hasPlanLogin === true),
		sets: setsIn(host, disk.accounts, { pool, settings }),
		caps: capsIn({ pool, settings, clock }),
		rival: rivalIn(host),
		chain: { isAvailable: poolModel.isAvailable, links: poolModel.shown(host) },
		defects: decisions.filter(({ kind }) => kind === "defect").length,
		resetCredits: pool.accounts().flatMap(({ id, enabled }) => {
			const credits = enabled ? unexpired(knownCredits(pool.status(id)), clock.now()) : [];
			return credits.map((credit) => ({ account: id, credit }));
		}),
		environment: [
			...VARIABLES.filter((name) => process.env[name]),
			...(process.env[TLS.name] === TLS.value ? [TLS.name] : []),
		],
	});
	const seen = { findings, repairs, isFixing, accounts: disk.accounts };
	return {
		text: verifiedAsText(seen),
		json: verifiedAsJson(seen),
		asJson,
		isFailing: hasProblem(findings),
	};
}

/** Every account set that is stored. */
function setsIn(
	host: ExtensionCommandContext,
	accounts: readonly Account[],
	{ pool, settings }: Pick<Ports, "pool" | "settings">,
): SetFact[] {
	const holding = pool.setFor(host.sessionManager.getSessionId());
	const stored = Object.entries(settings.read().sets).filter(([folder]) => folder !== EVERYWHERE);
	return stored.map(([folder, ids]) => {
		const { present, gone } = membersOf({ folder, accounts: ids }, accounts);
		const real = realFolder(folder);
		return {
			folder,
			isThere: isFolder(real),
			holds: holding !== undefined && realFolder(holding.folder) === real,
			present: present.map(({ id }) => id),
			gone: gone.length,
		};
	});
}

/** Every cap that is stored. */
function capsIn({ pool, settings, clock }: Pick<Ports, "pool" | "settings" | "clock">): CapFact[] {
	return Object.entries(settings.read().caps).flatMap(([id, floors]) => {
		const account = pool.account(id);
		const usage = account && pool.status(account.id).usage;
		return Object.entries(floors).map(([window, floorPercent]): CapFact => {
			return {
				id,
				window,
				floorPercent,
				isReached: reachedCap({ [window]: floorPercent }, usage, clock.now()) !== undefined,
				isReported: usage && includedOf(usage).some(({ windowMinutes }) => windowName(windowMinutes) === window),
			};
		});
	});
}
