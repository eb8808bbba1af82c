import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../domain/account.ts";
import type { SubcommandDeps } from "./subcommand.ts";

/** Where `account` was the active one another takes its place at once, and not only with the next request. */
export function moveOnFrom(account: Account, ctx: ExtensionCommandContext, deps: SubcommandDeps): Account | undefined {
	if (deps.pool.active() !== account.id) return undefined;
	const next = nextAfter(account, ctx, deps);
	if (next) deps.pool.setActive(next.id);
	return next;
}

/** True while some account can serve. */
export function isAnyReady({ pool }: SubcommandDeps): boolean {
	return pool.accounts().some((account) => pool.state(account) === "ready");
}

/** The account that serves once this one is out of use; undefined where none can. */
export function nextAfter(
	{ id }: Account,
	ctx: ExtensionCommandContext,
	{ pool }: SubcommandDeps,
): Account | undefined {
	const { model, sessionManager } = ctx;
	return pool.choose({
		modelId: model?.id ?? "",
		affinity: undefined,
		sessionId: sessionManager.getSessionId(),
		excluded: new Set([id]),
	});
}
