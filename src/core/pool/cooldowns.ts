import type { Account } from "../account.ts";
import { type Cooldown, covers, isOfQuota, mergeCooldown } from "../cooldown.ts";
import type { AccountId } from "../ids.ts";
import type { AccountStatus, AccountStore, Clock, StateStore } from "../ports.ts";
import type { Cooling } from "../request/classify.ts";
import { TRIAL_MS } from "../request/plan.ts";
import type { ChangeDetector } from "./change-detector.ts";
import { withoutModelApart } from "./merge-usage.ts";

/** Starts and ends cooldowns. */
export interface Cooldowns {
	/**
	 * Puts an account, or every account of its workspace, into a cooldown. Without a model, closes a limit that no normal
	 * model of the account uses.
	 */
	cool(account: Account, cooling: Cooling, modelId: string | undefined): void;
	/** Ends all cooldowns. */
	clearCooldowns(): Promise<void>;
	/**
	 * Claims a trial of an account that cools on weak evidence. Resolves to true for one of all processes that try at
	 * once, and then for none for a while.
	 */
	claimTrial(id: AccountId): Promise<boolean>;
	/**
	 * Records that the account has answered `modelId` in a trial started at `began`, epoch ms. Ends the cooldowns that
	 * this refutes.
	 */
	endTrial(id: AccountId, modelId: string, began: number): void;
}

/**
 * Ends the cooldowns that other seats of the workspace got only because of this account, which has quota again. Spares
 * those that are not old enough.
 */
type FreeSeats = (account: Account, isOld: (cooldown: Cooldown) => boolean) => void;

interface Deps {
	readonly accounts: Pick<AccountStore, "list">;
	readonly state: Pick<StateStore, "status" | "snapshot" | "update" | "updateIf" | "clearCooldowns">;
	readonly clock: Clock;
	/** Called before each change, for what others have changed, and after it with its cause. */
	readonly detect: ChangeDetector["detect"];
	/** Called after each change. */
	readonly changed: () => void;
}

/** Creates them over the status of the accounts. */
export function createCooldowns(deps: Deps): Cooldowns & { readonly freeSeats: FreeSeats } {
	const { accounts, state, clock, detect, changed } = deps;
	/** Writes at once but does not wait: the request continues with what is in memory. */
	const update = (id: AccountId, change: (status: AccountStatus) => AccountStatus) => {
		void state.update(id, change);
	};
	const seatsOf = ({ workspaceId }: Account) => accounts.list().filter((each) => each.workspaceId === workspaceId);

	return {
		cool: (account, cooling, modelId) => {
			const now = clock.now();
			const { scope, reason, until, guessed, seatsUntil } = cooling;
			const cooldown: Cooldown = {
				scope,
				reason,
				until,
				setAt: now,
				models: reason === "usage_limit" && !scope.startsWith("model:") && modelId !== undefined ? [modelId] : [],
				...(guessed && isOfQuota({ reason }) && { guessed: true }),
			};
			detect();
			// A model that the general limit refuses has no limit of its own.
			const isOfGeneralLimit = scope === "account" && isOfQuota(cooldown);
			update(account.id, (status) => ({
				...(isOfGeneralLimit && modelId !== undefined ? withoutModelApart(status, modelId) : status),
				cooldowns: mergeCooldown(status.cooldowns, cooldown, now),
			}));
			// A spent seat says nothing about the windows of other seats. They cool only because of the workspace.
			const ofOthers: Cooldown = { ...cooldown, until: seatsUntil ?? until, guessed: undefined, shared: true };
			for (const { id } of cooling.covers === "workspace" ? seatsOf(account) : []) {
				if (id === account.id) continue;
				update(id, (status) => ({ ...status, cooldowns: mergeCooldown(status.cooldowns, ofOthers, now) }));
			}
			detect("refusal");
			changed();
		},
		clearCooldowns: async () => {
			detect();
			await state.clearCooldowns();
			detect("reset");
			changed();
		},
		claimTrial: (id) => {
			const isFree = ({ trialAt = 0 }: AccountStatus) => Math.abs(clock.now() - trialAt) >= TRIAL_MS;
			return state.updateIf(id, isFree, (status) => ({ ...status, trialAt: clock.now() }));
		},
		endTrial: (id, modelId, began) => {
			const isRefuted = (each: Cooldown) => isOfQuota(each) && covers(each, modelId) && each.setAt < began;
			if (!state.status(id).cooldowns.some(isRefuted)) return;
			detect();
			update(id, (status) => ({ ...status, cooldowns: status.cooldowns.filter((each) => !isRefuted(each)) }));
			detect("usage");
			changed();
		},
		freeSeats: (account, isOld) => {
			const statusOf = state.snapshot();
			const free = (cooldowns: readonly Cooldown[]) => cooldowns.filter((each) => !(each.shared && isOld(each)));
			const held = seatsOf(account).filter(({ id }) => {
				const { cooldowns } = statusOf(id);
				return free(cooldowns).length < cooldowns.length;
			});
			if (held.length === 0) return;
			detect();
			for (const { id } of held) update(id, (status) => ({ ...status, cooldowns: free(status.cooldowns) }));
			detect("usage");
			changed();
		},
	};
}
