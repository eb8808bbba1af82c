import { type ActQuestion, createQuestionPanel } from "../ui-kit/question.ts";
import type { CommandContext } from "./command.ts";
import { modeOf } from "./output.ts";
import { openPanel } from "./panel.ts";

/** What was answered; `cancelled` without an answer, by Esc or by the end of the session. */
export type ActAnswer = "act" | "keep" | "cancelled";

/** Asks whether to do something. Where there are only dialogs a plain yes or no answers. */
export async function askToAct(
	ctx: CommandContext,
	{ heading, text, act, keep, isHarmless = false }: ActQuestion,
): Promise<ActAnswer> {
	const answers = isHarmless ? [act, keep] : [keep, act];
	const answered =
		modeOf(ctx.host) === "tui"
			? await openPanel<ActAnswer>(ctx, { ended: "cancelled" }, (host) =>
					createQuestionPanel({
						...host,
						room: host.wholeRoom,
						question: { heading, text, answers },
						onAnswer: (answer) => {
							if (answer === undefined) host.close("cancelled");
							else host.close(answer === act ? "act" : "keep");
						},
					}),
				)
			: undefined;
	return answered ?? ((await ctx.host.ui.confirm(heading, text, { signal: ctx.signal })) ? "act" : "keep");
}
