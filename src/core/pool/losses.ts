import type { Account } from "../account.ts";
import { accountWith } from "../identity.ts";
import type { AccountStore, Clock, StateStore } from "../ports.ts";
import type { ChangeDetector } from "./change-detector.ts";

/** Takes accounts out of the pool until a person acts: signed out, or disabled. */
export interface Losses {
	/**
	 * Counts a refusal of the whole workspace or account (402/403), before its cooldown is set. The third in a row
	 * disables the account. Parallel refusals at one moment count once.
	 */
	strike(account: Account, reason: string): void;
	/** Disables an account that the backend has closed. */
	close(account: Account, reason: string): void;
	/** Flags an account whose sign-in has ended, unless it has another access token than the refused one by now. */
	signOut(account: Account, refused: string, reason: string): void;
	/** Emits once that an account was signed out or closed. */
	lost: ChangeDetector["lost"];
}

interface Deps {
	readonly accounts: Pick<AccountStore, "list" | "patch">;
	readonly state: Pick<StateStore, "status" | "update">;
	readonly clock: Clock;
	readonly lost: ChangeDetector["lost"];
}

/** Number of refusals in a row after which an account is disabled. */
const STRIKES = 3;

/** Creates the losses over the stores. A write that fails is kept in memory and reported by the store. */
export function createLosses({ accounts, state, clock, lost }: Deps): Losses {
	const close = (account: Account, reason: string) => {
		accounts.patch(account.id, { enabled: false, disabledReason: reason }).catch(() => undefined);
		lost("closed", account, reason);
	};

	return {
		strike: (account, reason) => {
			const { cooldowns } = state.status(account.id);
			if (cooldowns.some((cooldown) => cooldown.reason === "workspace_disabled")) return;
			void state.update(account.id, (status) => ({ ...status, strikes: status.strikes + 1 }));
			if (state.status(account.id).strikes >= STRIKES) close(account, reason);
		},
		close,
		signOut: (account, refused, reason) => {
			const needsLogin = { reason, at: clock.now() };
			accounts.patch(account.id, { needsLogin }, ({ access }) => access === refused).catch(() => undefined);
			if (!accountWith(accounts.list(), account.id)?.needsLogin) return;
			lost("signed-out", account, reason);
		},
		lost,
	};
}
