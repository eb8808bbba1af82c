import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { selectionReasonOf } from "../../core/policies.ts";
import { tightest } from "../../core/usage.ts";
import { accountRef, parseOptions, type Subcommand, type SubcommandDeps, usageError } from "../../pi/command.ts";
import * as messages from "../../ui-kit/messages.ts";
import { nextFor } from "./successor.ts";

/**
 * `/multicodex next`: this session goes on with the account that comes after its own in the policy's order, round and
 * round. It is no pin: the session stays there as it stays anywhere, and other sessions do not follow.
 */
export const next: Subcommand = {
	name: "next",
	usage: "next",
	summary: "this session goes on with the next account, in the policy's order",
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, [], next);
		if ("failure" in given) return given;
		if (words.length > 0) return usageError(next);
		const { pool, affinity, clock } = deps;
		if (!deps.settings.read().enabled) return { failure: messages.noNextWhileOff() };
		const { from, to, asked } = moveFor(ctx, deps);
		if (!to) return { failure: messages.noNext(from) };
		const pinned = pool.pinned();
		// With a pin the session would not move, whatever it stays on.
		if (pinned !== undefined) await pool.pin(undefined);
		affinity.moveTo(to.id);
		pool.setActive(to.id);
		if (from) {
			const left = tightest(pool.status(from.id).usage, clock.now());
			const grounds = selectionReasonOf(pool.explain({ ...asked, affinity: to.id }));
			pool.emit({ type: "switched", from, to, cause: "user", left, asked, grounds });
		}
		pool.emit({ type: "changed" });
		const now = tightest(pool.status(to.id).usage, clock.now());
		const text = messages.movedOn(to, from, {
			left: now && `${now.isStale ? "~" : ""}${messages.leftOf(now)}`,
			wasPinned: pinned !== undefined && pinned === from?.id,
		});
		return { text, json: { account: accountRef(to), from: from ? accountRef(from) : null } };
	},
};

/** Who would serve the session's next request, and who comes after that account. */
function moveFor(ctx: ExtensionCommandContext, deps: SubcommandDeps) {
	const { pool } = deps;
	const asked = { modelId: ctx.model?.id ?? "", sessionId: ctx.sessionManager.getSessionId() };
	const from = nextFor(ctx, deps);
	// Without what the session is on, the order is that of the policy; nothing moves onto bought credits.
	const order = pool
		.explain({ ...asked, affinity: undefined })
		.flatMap(({ account, rank, gate }) => (rank !== undefined && gate?.kind !== "credits" ? [account] : []));
	const at = order.findIndex(({ id }) => id === from?.id);
	const to = order[(at + 1) % order.length];
	return { asked, from, to: to && to.id !== from?.id ? to : undefined };
}
