import type { AccountId } from "../../core/ids.ts";
import { type PoolView, type ShownAccount, usableIn } from "../../core/pool/pool-view.ts";

/** Keeps accounts that are of no use now out of a list that is too long for the terminal. */
export interface Fold {
	/** The list without the accounts that are folded. */
	listed(view: PoolView): PoolView;
	/** The accounts that are folded, in the order of the list. */
	folded(view: PoolView): readonly ShownAccount[];
	/** There are folded accounts, or there were before the person unfolded them. */
	isOffered(): boolean;
	/** Unfolds, or folds again. */
	toggle(): void;
	/**
	 * Decides anew where something else than the accounts' figures has changed: which accounts there are, or `place`,
	 * which names the terminal's size. What is in the list by then stays there, so that no row moves. True where the list
	 * is another one now.
	 */
	decide(view: PoolView, place: string, fitting: number, highlighted: AccountId | undefined): boolean;
}

const NONE: ReadonlySet<AccountId> = new Set();

/** Creates it with nothing folded. */
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
			// Where none is ready each is worth a look: one of them is back first.
			const isWorthIt = accounts.length > fitting && usableIn({ accounts }).some(({ state }) => state === "ready");
			useless = isWorthIt ? new Set(others.map(({ account }) => account.id)) : NONE;
			return !isOpen && (before.size > 0 || useless.size > 0);
		},
	};
}
