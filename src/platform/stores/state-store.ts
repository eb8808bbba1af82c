import { access, constants } from "node:fs/promises";
import { dirname } from "node:path";
import { activeCooldowns, FURTHEST_RESET_MS } from "../../core/cooldown.ts";
import { allSpent } from "../../core/credentials/spent-tokens.ts";
import type { AccountId } from "../../core/ids.ts";
import { ownValue } from "../../core/own-value.ts";
import { mergeSince, mergeStatus } from "../../core/pool/merge-status.ts";
import type { AccountStatus, StateStore } from "../../core/ports.ts";
import { isMissing } from "../files/errors.ts";
import { openSharedDocument, type SharedDocument } from "../files/shared-document.ts";
import { type Lease, STATE_FORMAT, STATE_VERSION, STATUS_SCHEMA, type StateFile } from "./state-file.ts";

/** After this long without a request a session is no longer at work. */
export const LEASE_MS = 5 * 60_000;
/** Minimum time between two renewals of an unchanged lease. */
const RENEWAL_MS = 60_000;
/** A snapshot is from the future if it is ahead by more than this. The clocks of two machines differ a little. */
export const CLOCK_TOLERANCE_MS = 60_000;
const NO_STATUS: AccountStatus = { cooldowns: [], strikes: 0 };

/** The store, with what happens to the state when accounts are merged. */
export interface LocalStateStore extends StateStore {
	/** Moves the status of an account to the one that it was merged into. */
	inherit(into: AccountId, former: AccountId): Promise<void>;
}

/**
 * Opens `codex-state.json` at `path`. `onProblem` is called once for a newer and once for an unwritable file. A program
 * that only reads passes another `open`.
 */
export function openStateStore(
	path: string,
	onProblem: (text: string) => void,
	now: () => number,
	open: typeof openSharedDocument = openSharedDocument,
): LocalStateStore {
	const file = openStateFile(path, onProblem, now, open);
	return {
		pin: () => file.read().pin ?? undefined,
		setPin: (id, belowCapUntil) =>
			file.update((draft) => {
				draft.pin = id ?? null;
				if (belowCapUntil === undefined) delete draft.pinBelowCapUntil;
				else draft.pinBelowCapUntil = belowCapUntil;
			}),
		pinnedBelowCapUntil: () => file.read().pinBelowCapUntil,
		...createStatuses(file, now),
		...createLeases(file, now),
		...createNotices(path, file, now),
		consents: () => new Map(Object.entries(file.read().consents ?? {})),
		giveConsent: (what, until) =>
			file.update((draft) => {
				draft.consents = { ...draft.consents, [what]: until };
			}),
		endConsents: () =>
			file.update((draft) => {
				delete draft.consents;
			}),
		flush: file.flush,
	};
}

/** The state file. State that cannot be written stays in memory. None of it is worth failing a request for. */
interface StateDocument extends Pick<SharedDocument<StateFile>, "read" | "updateDebounced" | "flush"> {
	/** Writes at once. Never rejects. */
	update(change: (draft: StateFile, isNewest: boolean) => void, onUnwritten?: (error: unknown) => void): Promise<void>;
	/**
	 * Changes the file if `applies` holds for the newest one of any process, and resolves to whether it did. If the file
	 * cannot be read, memory decides.
	 */
	updateIf(
		applies: (draft: StateFile) => boolean,
		change: (draft: StateFile) => void,
		onUnwritten?: (error: unknown) => void,
	): Promise<boolean>;
}

function openStateFile(
	path: string,
	onProblem: (text: string) => void,
	now: () => number,
	open: typeof openSharedDocument,
): StateDocument {
	const document = open({
		path,
		...STATE_FORMAT,
		conflicts: {
			resolve: (_key, mine) => mine,
			within: {
				accounts: {
					areWhole: true,
					resolve: (_id, mine, theirs, before) => {
						const [ours, stored] = [STATUS_SCHEMA.safeParse(mine).data, STATUS_SCHEMA.safeParse(theirs).data];
						if (!ours) return keptOfForgotten(stored);
						return stored ? mergeSince(STATUS_SCHEMA.safeParse(before).data ?? NO_STATUS, ours, stored, now()) : ours;
					},
				},
			},
		},
		empty: (): StateFile => ({ version: STATE_VERSION, pin: null, lastChosen: null, live: {}, accounts: {} }),
		isDisposable: true,
		onProblem: (problem) => onProblem(problem.text),
	});
	const update: StateDocument["update"] = (change, onUnwritten = () => undefined) =>
		document.update(change).catch(onUnwritten);
	return {
		read: document.read,
		updateDebounced: document.updateDebounced,
		flush: document.flush,
		update,
		updateIf: async (applies, change, onUnwritten) => {
			let didApply: boolean | undefined;
			// A read after the rename already contains the change and does not decide.
			await update((draft, isNewest) => {
				const isFree = applies(draft);
				if (isNewest || didApply === undefined) didApply = isFree;
				if (isFree) change(draft);
			}, onUnwritten);
			return didApply === true;
		},
	};
}

type Statuses = "status" | "snapshot" | "update" | "updateIf" | "updateSoon" | "clearCooldowns" | "forget" | "inherit";

/** Creates what concerns the status of each account. */
function createStatuses(file: StateDocument, now: () => number): Pick<LocalStateStore, Statuses> {
	const applyTo = (id: AccountId, change: (status: AccountStatus) => AccountStatus) => {
		const { resets } = file.read();
		return (draft: StateFile) => {
			const former = ownValue(draft.accounts, id);
			const status = former ? readable(former, now()) : NO_STATUS;
			const next = change(status);
			// Counted rather than dated, since clocks differ. A later write must not restore what was learnt before a reset.
			const { cooldowns } = draft.resets === resets ? next : status;
			draft.accounts[id] = { ...former, ...next, cooldowns };
		};
	};
	const snapshot = () => {
		const [{ accounts }, at] = [file.read(), now()];
		return (id: AccountId): AccountStatus => {
			const stored = ownValue(accounts, id);
			return stored ? readable(stored, at) : NO_STATUS;
		};
	};

	return {
		status: (id) => snapshot()(id),
		snapshot,
		update: (id, change) => file.update(applyTo(id, change)),
		updateIf: async (id, applies, change, onUnwritten) => {
			const isFree = ({ accounts }: StateFile) => {
				const former = ownValue(accounts, id);
				return applies(former ? readable(former, now()) : NO_STATUS);
			};
			return file.updateIf(isFree, applyTo(id, change), onUnwritten);
		},
		updateSoon: (id, change) => file.updateDebounced(applyTo(id, change)),
		clearCooldowns: () => {
			// Computed once, since the change may be applied to a draft that already has it.
			const resets = (file.read().resets ?? 0) + 1;
			return file.update((draft) => {
				draft.resets = Math.max(draft.resets ?? 0, resets);
				for (const [id, status] of Object.entries(draft.accounts)) {
					draft.accounts[id] = { ...status, cooldowns: [], strikes: 0 };
				}
			});
		},
		forget: (id) =>
			file.update((draft) => {
				const kept = keptOfForgotten(ownValue(draft.accounts, id));
				if (kept) draft.accounts[id] = { ...kept };
				else delete draft.accounts[id];
				if (draft.pin !== id) return;
				draft.pin = null;
				delete draft.pinBelowCapUntil;
			}),
		inherit: (into, former) =>
			file.update((draft) => {
				if (draft.pin === former) draft.pin = into;
				if (draft.lastChosen === former) draft.lastChosen = into;
				for (const lease of Object.values(draft.live)) {
					if (lease.account === former) lease.account = into;
				}
				const [kept, gone] = [ownValue(draft.accounts, into), ownValue(draft.accounts, former)];
				if (!gone) return;
				draft.accounts[into] = { ...kept, ...inherited(kept ?? NO_STATUS, gone, now()) };
				// An exchange in progress still uses the former id.
				if (gone.exchange) draft.accounts[former] = { ...NO_STATUS, exchange: gone.exchange };
				else delete draft.accounts[former];
			}),
	};
}

type Leases = "liveSessions" | "lastChosen" | "acquireLease" | "releaseLease";

/** Creates what concerns the sessions at work, in all processes. */
function createLeases(file: StateDocument, now: () => number): Pick<StateStore, Leases> {
	return {
		liveSessions: (except) => {
			const counts = new Map<AccountId, number>();
			for (const [session, lease] of Object.entries(file.read().live)) {
				if (session === except || !isAlive(lease, now())) continue;
				counts.set(lease.account, (counts.get(lease.account) ?? 0) + 1);
			}
			return counts;
		},
		lastChosen: () => file.read().lastChosen ?? undefined,
		acquireLease: (session, account, isChoice) => {
			const known = ownValue(file.read().live, session);
			const isNews = isChoice || known?.account !== account || !isAlive(known, now());
			if (!isNews && now() - known.at < RENEWAL_MS) return;
			// A change may be written late. The lease keeps the time of the change.
			const at = now();
			const change = (draft: StateFile) => {
				const present = now();
				for (const [other, lease] of Object.entries(draft.live)) {
					if (!isAlive(lease, present)) delete draft.live[other];
				}
				draft.live = { ...draft.live, [session]: { ...ownValue(draft.live, session), account, at } };
				if (isChoice) draft.lastChosen = account;
			};
			if (isNews) void file.update(change);
			else file.updateDebounced(change);
		},
		releaseLease: (session) => {
			if (!ownValue(file.read().live, session)) return;
			file.updateDebounced((draft) => {
				delete draft.live[session];
			});
		},
	};
}

type Notices = "claimWelcome" | "endWelcome" | "claimNotice" | "endNotice";

/** Creates what concerns notices that one process of all may send. */
function createNotices(path: string, file: StateDocument, now: () => number): Pick<StateStore, Notices> {
	return {
		claimWelcome: async () => {
			// If this cannot be stored, the welcome would be shown at every start.
			if (!(await canKeep(path))) return false;
			return file.updateIf(
				({ welcomedAt }) => welcomedAt === undefined,
				(draft) => {
					draft.welcomedAt = now();
				},
			);
		},
		endWelcome: () => {
			if (file.read().welcomedAt === undefined) return;
			file.updateDebounced((draft) => {
				delete draft.welcomedAt;
			});
		},
		claimNotice: async (what, { until, slackMs, level = 0 }) => {
			const isNews = ({ told = {} }: StateFile) => {
				const before = ownValue(told, what);
				const isHolding = before !== undefined && before.until > now() && before.until - now() <= FURTHEST_RESET_MS;
				return !isHolding || until - before.until > slackMs || level < before.level;
			};
			if (!isNews(file.read())) return false;
			return file.updateIf(isNews, (draft) => {
				const others = Object.entries(draft.told ?? {}).filter(([, each]) => each.until > now());
				draft.told = { ...Object.fromEntries(others), [what]: { until, level } };
			});
		},
		endNotice: async (what) => {
			const isTold = ({ told = {} }: StateFile) => Object.hasOwn(told, what);
			if (!isTold(file.read())) return false;
			return file.updateIf(isTold, ({ told }) => {
				if (told) delete told[what];
			});
		},
	};
}

/** True if the file can be written, as far as its folder shows. A missing folder will be created. */
async function canKeep(path: string): Promise<boolean> {
	return access(dirname(path), constants.W_OK).then(
		() => true,
		(error) => isMissing(error),
	);
}

/**
 * Returns what to keep of a removed account. If it is restored, it must not send its token a second time, nor redeem
 * under a second key.
 */
function keptOfForgotten(status: Partial<AccountStatus> | undefined): AccountStatus | undefined {
	const { exchange, spent, redemption } = status ?? {};
	return exchange || spent || redemption ? { ...NO_STATUS, exchange, spent, redemption } : undefined;
}

/**
 * Merges the status of two rows that were one account all along: the cooldowns of both, and the newer value of
 * everything else.
 */
function inherited(kept: AccountStatus, gone: AccountStatus, now: number): AccountStatus {
	const { cooldowns, usage, lastUsedAt } = mergeStatus(kept, gone, now);
	return {
		...kept,
		cooldowns,
		usage,
		...(lastUsedAt !== undefined && { lastUsedAt }),
		exchange: kept.exchange ?? gone.exchange,
		spent: allSpent(gone.spent, kept.spent),
		refusal: kept.refusal ?? gone.refusal,
		redemption: kept.redemption ?? gone.redemption,
	};
}

/** True if the lease is recent. One from the future is not: a clock was set back. */
function isAlive({ at }: Lease, now: number): boolean {
	return Math.abs(now - at) < LEASE_MS;
}

/**
 * Returns the stored status without implausible parts: expired or overlong cooldowns, and snapshots from the future.
 */
function readable(stored: AccountStatus, now: number): AccountStatus {
	const { usage } = stored;
	return {
		...stored,
		cooldowns: activeCooldowns(stored.cooldowns, now),
		usage: usage && usage.capturedAt <= now + CLOCK_TOLERANCE_MS ? usage : undefined,
	};
}
