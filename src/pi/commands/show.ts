import type { AccountId } from "../../domain/account.ts";
import type { PolicyName } from "../../domain/selection.ts";
import type { Pool } from "../../pool/pool.ts";
import { type PoolView, poolAsJson, poolAsText, type ShownAccount } from "../../ui/show.ts";
import { misused, type Subcommand } from "./subcommand.ts";

const DEFAULT_COLUMNS = 80;
/** pi indents a notice by this much. */
const MARGIN = 2;

/** `/multicodex show`: every account, its state, what it has left. */
export const show: Subcommand = {
	name: "show",
	usage: "show [--json]",
	summary: "every account: state, windows left, resets",
	complete: (_deps, before) =>
		before.length > 0 ? [] : [{ value: "--json", label: "--json", description: "as one JSON document" }],
	run: async (words, _ctx, { pool, clock, settings, maskEmails }) => {
		const [option] = words;
		if (words.length > 1 || (option !== undefined && option !== "--json")) return misused(show);
		const view = viewOf(pool, clock.now(), settings.read().rotation.policy, maskEmails());
		const columns = (process.stdout.columns ?? DEFAULT_COLUMNS) - MARGIN;
		return { text: poolAsText(view, columns), json: poolAsJson(view), asJson: option === "--json" };
	},
};

function viewOf(pool: Pool, now: number, policy: PolicyName, maskEmails: boolean): PoolView {
	const active = pool.active() ?? lastUsed(pool);
	const pinned = pool.pinned();
	const accounts = pool.accounts().map((account): ShownAccount => {
		const memo = pool.memo(account.id);
		const readyAt = pool.readyAt(account, now);
		return {
			account: maskEmails ? { ...account, email: undefined } : account,
			state: pool.state(account),
			isActive: account.id === active,
			isPinned: account.id === pinned,
			readyAt: readyAt !== undefined && readyAt > now ? readyAt : undefined,
			cooldowns: memo.cooldowns,
			usage: memo.usage,
			lastUsedAt: memo.lastUsedAt,
			lastError: memo.lastError?.text,
		};
	});
	return { policy, active, pinned, accounts, now };
}

/** A process that has sent nothing yet shows the account that answered last, in any process. */
function lastUsed(pool: Pool): AccountId | undefined {
	const used = pool.accounts().map(({ id }) => ({ id, at: pool.memo(id).lastUsedAt ?? 0 }));
	const latest = used.reduce((last, next) => (next.at > last.at ? next : last), { id: "", at: 0 });
	return latest.at > 0 ? latest.id : undefined;
}
