import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { SubcommandDeps } from "../../pi/command.ts";
import { openPanel } from "../../pi/panel.ts";
import { runSubcommand } from "../../pi/run-subcommand.ts";
import { viewOf } from "../../pi/view-of-pool.ts";
import { createListCursor } from "../../ui-kit/list-cursor.ts";
import { remove } from "../accounts/remove.ts";
import { nextFor } from "../accounts/successor.ts";
import { add } from "../sign-in/add.ts";
import { createPicker, type Picked } from "./picker.ts";

/**
 * Lets the person pick an account on the screen; adding and removing is done on the way, and the picker is open again
 * afterwards. Undefined where this pi shows no panels.
 */
export async function pickOnScreen(
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
): Promise<Exclude<Picked, { kind: "add" | "remove" }> | undefined> {
	const { pool, settings, clock, signal } = deps;
	const view = () => viewOf(pool, settings.read(), clock.now(), nextFor(ctx, deps));
	const { pinned, active } = view();
	const cursor = createListCursor(pinned ?? active);
	for (;;) {
		const picked = await openPanel<Picked>(ctx, { signal, ended: { kind: "closed" } }, (host) => {
			host.onClose(pool.subscribe(() => host.repaint()));
			return createPicker({ ...host, view, cursor, onPick: host.close });
		});
		switch (picked?.kind) {
			case "remove":
				// Who leaves the question by Esc goes on in the editor.
				if ((await runSubcommand(remove, [picked.id], ctx, deps)) === "cancelled") return { kind: "closed" };
				break;
			case "add": {
				const before = new Set(pool.accounts().map(({ id }) => id));
				await runSubcommand(add, [], ctx, deps);
				cursor.put(pool.accounts().find(({ id }) => !before.has(id))?.id);
				break;
			}
			default:
				return picked;
		}
	}
}
