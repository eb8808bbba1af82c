import type { Account } from "../../core/account.ts";
import { EVERYWHERE, membersOf } from "../../core/account-sets.ts";
import { reachedCap } from "../../core/caps.ts";
import { entriesById, type SessionId } from "../../core/ids.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, EventLog, SettingsStore } from "../../core/ports.ts";
import { includedOf, windowName } from "../../core/quota.ts";
import { knownCredits, unexpired } from "../../core/reset-credits/reset-credits.ts";
import { isFolder, realFolder } from "../../platform/stores/session-folders.ts";
import type { HealthCheck } from "./disk.ts";
import type { CapFact, HealthFacts, SetFact } from "./rules.ts";

/** Variables that change what we do, or where our requests go. Their values are never read. */
const VARIABLES = [
	"PI_CODING_AGENT_DIR",
	"PI_MULTICODEX_AUTH_URL",
	"PI_MULTICODEX_POOL",
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
/** Only this value of it has an effect. */
const TLS = { name: "NODE_TLS_REJECT_UNAUTHORIZED", value: "0" };

/** Everything that can be checked without pi and without the network. */
type OfflineFacts = Omit<HealthFacts, "endpoints" | "hostVersion" | "nodeVersion" | "rival">;

interface Ports {
	readonly health: Pick<HealthCheck, "look">;
	readonly pool: Pick<Pool, "account" | "accounts" | "setFor" | "status">;
	readonly settings: Pick<SettingsStore, "read">;
	readonly eventLog: Pick<EventLog, "read">;
	readonly clock: Clock;
}

/** Checks what is stored, and the environment. `sessionId`: the session whose account set applies. */
export async function offlineFacts(
	{ health, pool, settings, eventLog, clock }: Ports,
	sessionId: SessionId | undefined,
): Promise<OfflineFacts> {
	const [found, decisions] = await Promise.all([health.look(), eventLog.read(Number.MAX_SAFE_INTEGER)]);
	// Shared accounts are in another file, or only in memory.
	const shared = pool.accounts().filter((account) => account.shared);
	const own = found.accounts.filter(({ id }) => !shared.some((account) => account.id === id));
	const disk = { ...found, accounts: [...own, ...shared] };
	return {
		...disk,
		now: clock.now(),
		isEnabled: settings.read().enabled,
		sets: setsIn(sessionId, disk.accounts, { pool, settings }),
		caps: capsIn({ pool, settings, clock }),
		defects: decisions.filter(({ kind }) => kind === "defect").length,
		resetCredits: pool.accounts().flatMap(({ id, enabled }) => {
			const credits = enabled ? unexpired(knownCredits(pool.status(id)), clock.now()) : [];
			return credits.map((credit) => ({ account: id, credit }));
		}),
		environment: [
			...VARIABLES.filter((name) => process.env[name]),
			...(process.env[TLS.name] === TLS.value ? [TLS.name] : []),
		],
	};
}

/** Returns every stored account set. */
function setsIn(
	sessionId: SessionId | undefined,
	accounts: readonly Account[],
	{ pool, settings }: Pick<Ports, "pool" | "settings">,
): SetFact[] {
	const holding = pool.setFor(sessionId);
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

/** Returns every stored cap. */
function capsIn({ pool, settings, clock }: Pick<Ports, "pool" | "settings" | "clock">): CapFact[] {
	return entriesById(settings.read().caps).flatMap(([id, floors]) => {
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
