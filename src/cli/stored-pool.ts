import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Account } from "../core/account.ts";
import { withoutLogin } from "../core/credentials/pi-login-sync.ts";
import { createPool, type Pool } from "../core/pool/pool.ts";
import type { AccountStore, Clock, PiAuth, SettingsStore, StateStore } from "../core/ports.ts";
import { createAffinity } from "../core/request/affinity.ts";
import type { SelectionRequest } from "../core/request/plan.ts";
import type { SharedPoolStatus } from "../core/shared-pool.ts";
import { openDocumentReader } from "../platform/files/document-reader.ts";
import type { openPoolReader } from "../platform/shared-pool/pool-reader.ts";
import { openAccountStore } from "../platform/stores/account-store.ts";
import { accountsPlaceOf } from "../platform/stores/agent-directory.ts";
import { openPiAuth } from "../platform/stores/pi-auth.ts";
import { createSessionFolders } from "../platform/stores/session-folders.ts";
import { canBeRead, openSettings, savedCodexModelIn } from "../platform/stores/settings-store.ts";
import { openStateStore } from "../platform/stores/state-store.ts";
import { unreadable } from "./texts.ts";

/** The accounts as pi has stored them, read with the code by which pi chooses. Writes, locks and creates nothing. */
export interface StoredPool {
	readonly pool: Pool;
	readonly state: Pick<StateStore, "consents" | "giveConsent" | "endConsents">;
	readonly settings: Pick<SettingsStore, "read">;
	readonly piAuth: Pick<PiAuth, "peek">;
	readonly clock: Clock;
	/** Returns the shared pool of this machine, as a pi last saw it; undefined if it has joined none. */
	sharedPool(): SharedPoolStatus | undefined;
	/** True if pi holds its own API key for Codex, which it uses directly. */
	isForeign(): boolean;
	/** Returns the request of a new session in this folder. */
	nextOfNew(): SelectionRequest;
	/**
	 * Returns the request of a session that continues with the account that served last; of a new one if none did
	 * recently.
	 */
	nextOfLast(): SelectionRequest;
	/** Returns what could not be read so far. `accounts`: nothing is known of any account. */
	problems(): { readonly accounts: readonly string[]; readonly others: readonly string[] };
	/** Returns invalid preferences, as whole sentences. */
	complaints(): readonly string[];
}

/** Paths of the stored pool. */
export interface Paths {
	readonly directory: string;
	/** Every file that the output depends on. */
	readonly files: readonly string[];
	readonly accounts: string;
	readonly state: string;
	readonly settings: string;
	readonly auth: string;
	readonly log: string;
	readonly ledger: string;
	/** What this machine knows of its shared pool. */
	readonly sharedPool: string;
}

/** Finds the files of the agent directory. */
export function pathsIn(directory: string): Paths {
	const place = accountsPlaceOf(directory);
	const former = join(directory, "codex-state.json");
	const paths = {
		accounts: join(directory, "codex-accounts.json"),
		// If the accounts file is a link and no pi has created a state file beside its target yet, pi continues with this
		// one.
		state: existsSync(place.state) || !existsSync(former) ? place.state : former,
		settings: join(directory, "settings.json"),
		auth: join(directory, "auth.json"),
		log: join(directory, "codex-events.jsonl"),
		ledger: join(directory, "codex-ledger.jsonl"),
		sharedPool: join(directory, "codex-pool.json"),
	};
	const { accounts, state, settings, auth, sharedPool } = paths;
	const files = new Set([place.accounts, accounts, place.state, state, settings, auth, sharedPool]);
	return { ...paths, directory, files: [...files] };
}

/**
 * Opens the pool for a program that changes nothing. `folder` is where it was started. `readShared` reads this
 * machine's shared pool, if it has joined one. May be called again.
 */
export function openStoredPool(
	paths: Paths,
	clock: Clock,
	folder: () => string,
	readShared?: typeof openPoolReader,
): StoredPool {
	const found = { accounts: new Set<string>(), others: new Set<string>() };
	const complaints = new Set<string>();
	const settings = openSettings(paths.settings, (text) => void complaints.add(text));
	const accounts = openAccountStore(
		paths.accounts,
		(text) => void found.accounts.add(text),
		clock.now,
		undefined,
		undefined,
		openDocumentReader,
	);
	const state = openStateStore(paths.state, (text) => void found.others.add(text), clock.now, openDocumentReader);
	const piAuth = openPiAuth(paths.auth);
	// A registry of its own, since no session of pi runs in this process.
	const registry = new Map<unknown, unknown>();
	const sets = createSessionFolders({ sets: () => settings.read().sets, processFolder: folder, registry });
	const shared = readShared?.(paths.sharedPool, (text) => void found.others.add(text));
	const own = asAfterLogout(accounts, piAuth, clock);
	const list = () => (shared ? shared.list(own()) : own());
	const pool = createPool({ accounts: { ...accounts, list }, state, clock, settings: settings.read, sets });

	const nextOfNew = (): SelectionRequest => ({
		modelId: savedCodexModelIn(paths.settings),
		sessionId: undefined,
		affinity: undefined,
		patienceMs: settings.read().rotation.maxWaitMs,
	});
	const nextOfLast = (): SelectionRequest => {
		const statusOf = state.snapshot();
		const [last] = list()
			.map(({ id }) => ({ id, at: statusOf(id).lastUsedAt ?? 0 }))
			.sort((a, b) => b.at - a.at);
		const affinity = createAffinity(clock);
		if (last && last.at > 0) affinity.begin(undefined, last.id, last.at);
		return { ...nextOfNew(), affinity: affinity.account(), served: affinity.account() };
	};
	return {
		pool,
		state,
		settings,
		piAuth,
		clock,
		sharedPool: () => shared?.status(),
		isForeign: () => piAuth.peek().kind === "foreign",
		nextOfNew,
		nextOfLast,
		problems: () => {
			// Read both now, even if there is no account to show.
			list();
			state.pin();
			const settingsProblem = canBeRead(paths.settings) ? [] : [unreadable("settings.json")];
			const authProblem = piAuth.peek().kind === "unreadable" ? [unreadable("auth.json")] : [];
			return { accounts: [...found.accounts], others: [...found.others, ...settingsProblem, ...authProblem] };
		},
		complaints: () => {
			settings.read();
			return [...complaints];
		},
	};
}

/**
 * Returns the accounts as the next pi will see them: those of a login that pi has given up are removed or signed out.
 */
function asAfterLogout(accounts: AccountStore, piAuth: PiAuth, clock: Clock): () => readonly Account[] {
	let known:
		| { readonly of: readonly Account[]; readonly signature: string | undefined; readonly list: readonly Account[] }
		| undefined;
	return () => {
		const [stored, signature] = [accounts.list(), piAuth.signature()];
		if (known?.of === stored && known.signature === signature) return known.list;
		const isLoggedOut = stored.some(({ linked }) => linked) && piAuth.peek().kind === "none";
		const list = isLoggedOut
			? stored.flatMap((account) => (account.linked ? (withoutLogin(account, clock.now()) ?? []) : account))
			: stored;
		known = { of: stored, signature, list };
		return list;
	};
}

/** pi writes in place, so a read may find half a file. */
const TORN_TRIES = 4;
const TORN_PAUSE_MS = 50;

/** Waits until pi has finished writing its files. Not for long, since they may be damaged. */
export async function untilWhole({ settings, auth }: Paths): Promise<void> {
	const isWhole = () => canBeRead(settings) && openPiAuth(auth).peek().kind !== "unreadable";
	for (let tries = 1; tries < TORN_TRIES && !isWhole(); tries += 1) await setTimeout(TORN_PAUSE_MS);
}
