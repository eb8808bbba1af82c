import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, SettingsStore } from "../../core/ports.ts";
import { tightest } from "../../core/quota.ts";
import type { Affinity } from "../../core/request/affinity.ts";
import { selectionReason } from "../../core/request/plan.ts";
import { noAccountSignedIn } from "../../core/request/turn-texts.ts";
import { accountRef, type NoArgs, type Outcome, parseNothing, type Subcommand } from "../../pi/command.ts";
import { sessionIdOf } from "../../pi/session-id.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { leftOf } from "../../ui-kit/account-texts.ts";
import * as texts from "./texts.ts";

interface Ports {
	readonly pool: Pool;
	readonly affinity: Pick<Affinity, "moveTo">;
	readonly session: Pick<SessionView, "next" | "request">;
	readonly settings: Pick<SettingsStore, "read">;
	readonly clock: Clock;
}

/**
 * `/multicodex next`: this session continues with the account after its own in the policy's order, round and round.
 * This is not a pin: the session stays there as on any account, and other sessions are not affected.
 */
export function createNext(ports: Ports): Subcommand<NoArgs> {
	const usage = "next";
	return {
		name: "next",
		usage,
		summary: "this session continues on the next account, in the policy's order",
		parse: (words) => parseNothing(words, usage),
		run: async (_args, { host }) => moveOn(host, ports),
	};
}

async function moveOn(host: ExtensionCommandContext, ports: Ports): Promise<Outcome> {
	const { pool, affinity, settings, clock } = ports;
	if (!settings.read().enabled) return { failure: texts.noNextWhileOff() };
	if (pool.accounts().length === 0) return { failure: noAccountSignedIn() };
	const { from, to, asked } = moveFor(host, ports);
	if (!to) return { failure: texts.noNext(from) };
	const pinned = pool.pinned();
	// With a pin, the session would not move.
	if (pinned !== undefined) await pool.pin(undefined);
	affinity.moveTo(to.id);
	pool.setActive(to.id);
	if (from) {
		const left = tightest(pool.status(from.id).usage, clock.now());
		const grounds = selectionReason(pool.plan({ ...asked, affinity: to.id }), to);
		pool.emit({ type: "switched", from, to, cause: "user", left, asked, grounds });
	}
	pool.emit({ type: "changed" });
	const now = tightest(pool.status(to.id).usage, clock.now());
	const text = texts.movedOn(to, from, {
		left: now && `${now.isStale ? "~" : ""}${leftOf(now)}`,
		wasPinned: pinned !== undefined && pinned === from?.id,
	});
	return { text, json: { account: accountRef(to), from: from ? accountRef(from) : null } };
}

/** Returns who would serve the session's next request, and which account follows. */
function moveFor(host: ExtensionCommandContext, { pool, session }: Ports) {
	const asked = { modelId: session.request(host).modelId ?? "", sessionId: sessionIdOf(host) };
	const from = session.next(host);
	// Without the session's own account, the order is that of the policy. No session moves onto bought credits.
	const order = pool
		.plan({ ...asked, affinity: undefined })
		.order.flatMap(({ account, gate }) => (gate?.kind === "credits" ? [] : [account]));
	const at = order.findIndex(({ id }) => id === from?.id);
	const to = order[(at + 1) % order.length];
	return { asked, from, to: to && to.id !== from?.id ? to : undefined };
}
