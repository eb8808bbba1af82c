import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import { nextInLine } from "../../core/next-in-line.ts";
import type { SubcommandDeps } from "../../pi/command.ts";
import { PROVIDER } from "../../pi/provider.ts";
import type { NextRequest } from "../../ui-kit/messages.ts";

/** True while some account can serve. */
export function isAnyReady({ pool }: SubcommandDeps): boolean {
	return pool.accounts().some((account) => pool.state(account) === "ready");
}

/** The account that serves the session's next request, `without` as if that one were gone; undefined where none can. */
export function nextFor(ctx: ExtensionCommandContext, deps: SubcommandDeps, without?: AccountId): Account | undefined {
	const { pool, affinity } = deps;
	const gone = without === undefined ? undefined : new Set([without]);
	return nextInLine(pool, affinity, askerIn(ctx, deps), gone);
}

/** The same as a sentence needs it. */
export function nextRequestFor(ctx: ExtensionCommandContext, deps: SubcommandDeps, without?: AccountId): NextRequest {
	const { settings, link } = deps;
	return { isEnabled: settings.read().enabled, isForeign: link.isForeign(), account: nextFor(ctx, deps, without) };
}

/** Of whom the session's next request is. Beside a model of another provider: as with the one that is the default. */
export function askerIn({ model, sessionManager }: ExtensionCommandContext, { settings, savedModel }: SubcommandDeps) {
	return {
		modelId: model?.provider === PROVIDER ? model.id : savedModel(),
		sessionId: sessionManager.getSessionId(),
		patienceMs: settings.read().rotation.maxWaitMs,
	};
}
