import type { Pool } from "../../core/pool/pool.ts";
import type { CommandContext } from "../../pi/command.ts";
import { openPanel } from "../../pi/panel.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { createListCursor } from "../../ui-kit/list-cursor.ts";
import { createPicker, type Picked } from "./picker.ts";

interface Ports {
	readonly pool: Pool;
	readonly session: Pick<SessionView, "pool">;
}

/**
 * Lets the person pick an account on the screen. Adding and removing happen in between, after which the picker opens
 * again; if the person left that question or sign-in by Esc, the editor comes next. Undefined if this pi cannot show a
 * panel.
 */
export async function pickOnScreen(
	ctx: CommandContext,
	{ pool, session }: Ports,
): Promise<Exclude<Picked, { kind: "add" | "remove" }> | undefined> {
	const view = () => session.pool(ctx.host);
	const { pinned, active } = view();
	const cursor = createListCursor(pinned ?? active);
	for (;;) {
		const picked = await openPanel<Picked>(ctx, { ended: { kind: "closed" } }, (panel) => {
			panel.onClose(pool.subscribe(() => panel.repaint()));
			return createPicker({ ...panel, view, cursor, onPick: panel.close });
		});
		switch (picked?.kind) {
			case "remove": {
				const account = pool.account(picked.id);
				if (account && (await ctx.run("remove", { account })) === "cancelled") return { kind: "closed" };
				break;
			}
			case "add": {
				const before = new Set(pool.accounts().map(({ id }) => id));
				if ((await ctx.run("add", { words: [] })) === "cancelled") return { kind: "closed" };
				cursor.put(pool.accounts().find(({ id }) => !before.has(id))?.id);
				break;
			}
			default:
				return picked;
		}
	}
}
