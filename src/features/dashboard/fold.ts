import type { AccountId } from "../../core/ids.ts";
import { type PoolView, type ShownAccount, usableIn } from "../../core/pool/pool-view.ts";

/** Hides accounts that are useless now from a list that is too long for the terminal. */
export interface Fold {
	/** Returns the list without folded accounts. */
	listed(view: PoolView): PoolView;
	/** Returns the folded accounts, in the list's order. */
	folded(view: PoolView): readonly ShownAccount[];
	/** True if accounts are folded, or were before the person unfolded them. */
	isOffered(): boolean;
	/** Unfolds, or folds again. */
	toggle(): void;
	/**
	 * Decides again if something other than the accounts' figures has changed: which accounts there are, or `place`,
	 * which stands for the terminal's size. What is in the list then stays there, so that no row moves. Returns true if
	 * the list has changed.
	 */
	decide(view: PoolView, place: string, fitting: number, highlighted: AccountId | undefined): boolean;
}

const NONE: ReadonlySet<AccountId> = new Set();

/** Creates a fold with nothing folded. */
export function createFold(): Fold {
	let useless = NONE;
	let isOpen = false;
	let decided: string | undefined;

	const isFolded = ({ account }: ShownAccount) => !isOpen && useless.has(account.id);
	return {
		listed: (view) => {
			if (isOpen || useless.size === 0) return view;
			return { ...view, accounts: view.accounts.filter((shown) => !isFolded(shown)) };
		},
		folded: ({ accounts }) => accounts.filter(isFolded),
		isOffered: () => useless.size > 0,
		toggle: () => {
			isOpen = !isOpen;
		},
		decide: ({ accounts }, place, fitting, highlighted) => {
			const question = [place, ...accounts.map(({ account }) => account.id)].join(" ");
			if (question === decided) return false;
			decided = question;
			const before = useless;
			const isOfUse = ({ account, state, isActive, isPinned, outsideOf }: ShownAccount) =>
				(state === "ready" && outsideOf === undefined) || isActive || isPinned || account.id === highlighted;
			const others = accounts.filter((shown) => !isOfUse(shown));
			// If none is ready, every account matters: one of them is back first.
			const isWorthIt = accounts.length > fitting && usableIn({ accounts }).some(({ state }) => state === "ready");
			useless = isWorthIt ? new Set(others.map(({ account }) => account.id)) : NONE;
			return !isOpen && (before.size > 0 || useless.size > 0);
		},
	};
}
