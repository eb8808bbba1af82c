import type { AccountId } from "../core/ids.ts";
import { type Checklist, checklistChoice, createChecklistPanel } from "../ui-kit/checklist.ts";
import type { CommandContext } from "./command.ts";
import { modeOf } from "./output.ts";
import { openPanel } from "./panel.ts";

/** What a person chose from a list: rows by their ids, none of them, or no answer. */
export type Chosen =
	| { readonly kind: "chosen"; readonly ids: ReadonlySet<AccountId> }
	| { readonly kind: "none" | "cancelled" };

/**
 * Lets a person choose rows of a checklist, on a panel or in dialogs. `plain` is the question about a single row, for
 * dialogs.
 */
export async function askToTick(ctx: CommandContext, checklist: Checklist, plain: string): Promise<Chosen> {
	const onPanel =
		modeOf(ctx.host) === "tui"
			? await openPanel<Chosen>(ctx, { ended: { kind: "cancelled" } }, (panel) =>
					createChecklistPanel({
						...panel,
						room: panel.wholeRoom,
						checklist,
						onAnswer: (ids) => panel.close(ids ? chosenOf(ids) : { kind: "cancelled" }),
					}),
				)
			: undefined;
	return onPanel ?? tickInDialogs(ctx, checklist, plain);
}

function chosenOf(ids: ReadonlySet<AccountId>): Chosen {
	return ids.size > 0 ? { kind: "chosen", ids } : { kind: "none" };
}

/** With several rows, each answer that is a row toggles it, until one of the other answers is given. */
async function tickInDialogs(
	{ host, signal }: CommandContext,
	{ heading, rows, answer, nothing }: Checklist,
	plain: string,
): Promise<Chosen> {
	const ids = new Set(rows.map(({ id }) => id));
	if (rows.length === 1) {
		return (await host.ui.confirm(heading, plain, { signal })) ? chosenOf(ids) : { kind: "none" };
	}
	for (;;) {
		const goOn = answer(ids.size);
		const choices = rows.map((row) => checklistChoice(row, ids.has(row.id)));
		const given = await host.ui.select(heading, [goOn, nothing, ...choices], { signal });
		if (given === undefined) return { kind: "cancelled" };
		if (given === nothing) return { kind: "none" };
		if (given === goOn && ids.size > 0) return chosenOf(ids);
		const row = rows[choices.indexOf(given)];
		if (row && !ids.delete(row.id)) ids.add(row.id);
	}
}
