import { type AccountId, entriesById, type SessionId } from "../../core/ids.ts";
import { marking, markingReset } from "../../core/pool/status-marks.ts";
import type { AccountStatus, Clock } from "../../core/ports.ts";
import { LEASE_MS, type LocalStateStore } from "../stores/state-store.ts";
import type { StatusExchange } from "./status-exchange.ts";
import type { Presence } from "./types.ts";

interface Deps {
	readonly local: LocalStateStore;
	readonly isShared: (id: AccountId) => boolean;
	/** The shared accounts of this machine. */
	readonly sharedIds: () => readonly AccountId[];
	/** The processes seen at the last look at the database. Times by this machine's clock. */
	readonly presences: () => readonly Presence[];
	/** The name of this machine, whose sessions are in its own state file. */
	readonly machine: () => string | undefined;
	readonly clock: Clock;
}

/** The parts of the exchange that receive the changes of this process. */
type Told = Pick<StatusExchange, "changed" | "pinMoved" | "sessionsChanged" | "refresh" | "store" | "flush">;

/** The state of this machine. Changes to shared accounts reach other machines. */
export interface ComposedState extends LocalStateStore {
	/** Returns how many sessions of this process work on each shared account. */
	sessions(): Readonly<Record<AccountId, number>>;
	/** Passes on past and future changes to `exchange`; undefined stops that. */
	tell(exchange: Told | undefined): void;
}

type Change = (status: AccountStatus) => AccountStatus;

/** True if the change would record the start of a redemption. */
function opensRedemption(status: AccountStatus, applies: (status: AccountStatus) => boolean, change: Change): boolean {
	if (!applies(status)) return false;
	const { redemption } = change(status);
	return redemption?.end === undefined && redemption?.holder !== undefined && redemption !== status.redemption;
}

/**
 * Wraps the state file. Changes of this process to a shared account are marked, so that they can be merged with those
 * of other machines, and passed to the exchange as soon as there is one.
 */
export function composeState({ local, isShared, sharedIds, presences, machine, clock }: Deps): ComposedState {
	let exchange: Told | undefined;
	/** Accounts changed before there was an exchange. */
	const untold = new Set<AccountId>();
	let firstPin: { readonly before: AccountId | undefined } | undefined;
	const leases = new Map<SessionId, { readonly account: AccountId; readonly at: number }>();

	const changed = (id: AccountId, isUrgent = true) => {
		if (exchange) exchange.changed(id, isUrgent);
		else untold.add(id);
	};
	const withMarks = (id: AccountId, change: Change): Change => {
		return isShared(id) ? marking(change, clock.now()) : change;
	};
	const pinMoved = (before: AccountId | undefined, after: AccountId | undefined) => {
		if (exchange) exchange.pinMoved(before, after);
		else firstPin ??= { before };
	};
	const sessions = (): Readonly<Record<AccountId, number>> => {
		const counts = new Map<AccountId, number>();
		for (const [session, { account, at }] of leases) {
			if (Math.abs(clock.now() - at) >= LEASE_MS) leases.delete(session);
			else if (isShared(account)) counts.set(account, (counts.get(account) ?? 0) + 1);
		}
		return Object.fromEntries([...counts].sort());
	};
	/** Returns the sessions of other machines that were seen recently. */
	const elsewhere = (): readonly (readonly [AccountId, number])[] =>
		presences()
			.filter((each) => each.machine !== machine() && Math.abs(clock.now() - each.seenAt) < LEASE_MS)
			.flatMap((each) => entriesById(each.sessions));

	return {
		...local,
		update: (id, change) => {
			// Memory changes at once. The write becomes durable later.
			const durable = local.update(id, withMarks(id, change));
			if (isShared(id)) changed(id);
			return durable;
		},
		updateIf: async (id, applies, change, onUnwritten) => {
			// A claim on a credit applies to all machines. If two redeem at once, the one that stores its claim first may.
			const isClaim = isShared(id) && opensRedemption(local.status(id), applies, change);
			if (isClaim) await exchange?.refresh(id);
			const didApply = await local.updateIf(id, applies, withMarks(id, change), onUnwritten);
			if (!didApply) return false;
			if (isShared(id)) changed(id, false);
			if (isClaim) await exchange?.store(id);
			return true;
		},
		updateSoon: (id, change) => {
			local.updateSoon(id, withMarks(id, change));
			if (isShared(id)) changed(id, false);
		},
		setPin: (id, belowCapUntil) => {
			const before = local.pin();
			const durable = local.setPin(id, belowCapUntil);
			pinMoved(before, id);
			return durable;
		},
		liveSessions: (except) => {
			const counts = new Map(local.liveSessions(except));
			for (const [id, count] of elsewhere()) counts.set(id, (counts.get(id) ?? 0) + count);
			return counts;
		},
		acquireLease: (session, account, isChoice) => {
			local.acquireLease(session, account, isChoice);
			leases.set(session, { account, at: clock.now() });
			exchange?.sessionsChanged();
		},
		releaseLease: (session) => {
			local.releaseLease(session);
			if (leases.delete(session)) exchange?.sessionsChanged();
		},
		clearCooldowns: async () => {
			const statusOf = local.snapshot();
			const cooling = sharedIds().flatMap((id) => {
				const status = statusOf(id);
				return status.cooldowns.length > 0 || status.strikes > 0 ? [{ id, status }] : [];
			});
			const cleared = local.clearCooldowns();
			for (const { id, status } of cooling) {
				void local.update(id, markingReset(status, clock.now()));
				changed(id);
			}
			await cleared;
		},
		inherit: async (into, former) => {
			await local.inherit(into, former);
			if (isShared(into)) changed(into);
		},
		flush: async () => {
			await local.flush();
			await exchange?.flush();
		},
		sessions,
		tell: (next) => {
			exchange = next;
			if (!next) return;
			for (const id of untold) next.changed(id);
			untold.clear();
			if (firstPin) next.pinMoved(firstPin.before, local.pin());
			firstPin = undefined;
			next.sessionsChanged();
		},
	};
}
