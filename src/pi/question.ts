import { type ActQuestion, createQuestionPanel, type Question } from "../ui-kit/question.ts";
import type { CommandContext } from "./command.ts";
import { modeOf } from "./output.ts";
import { openPanel } from "./panel.ts";

/** The answer. `cancelled`: there was none, because of Esc or the end of the session. */
type ActAnswer = "act" | "keep" | "cancelled";

/** Asks whether to do something. With dialogs only, asks for a plain yes or no. */
export async function askToAct(
	ctx: CommandContext,
	{ heading, text, act, keep, isHarmless = false }: ActQuestion,
): Promise<ActAnswer> {
	const answers = isHarmless ? [act, keep] : [keep, act];
	const answered = await askOnPanel(ctx, { heading, text, answers });
	if (answered) return answered.answer === undefined ? "cancelled" : actOf(answered.answer, act);
	return (await ctx.host.ui.confirm(heading, text, { signal: ctx.signal })) ? "act" : "keep";
}

function actOf(answer: string, act: string): ActAnswer {
	return answer === act ? "act" : "keep";
}

/** Asks which of several things to do; undefined without an answer. With dialogs only, offers a list. */
export async function askToChoose(ctx: CommandContext, question: Question): Promise<string | undefined> {
	const answered = await askOnPanel(ctx, question);
	if (answered) return answered.answer;
	const { heading, text, answers } = question;
	return ctx.host.ui.select(`${heading}\n${text}`, [...answers], { signal: ctx.signal });
}

/** Asks on a panel; undefined if this pi cannot show one. */
async function askOnPanel(
	ctx: CommandContext,
	question: Question,
): Promise<{ readonly answer: string | undefined } | undefined> {
	if (modeOf(ctx.host) !== "tui") return undefined;
	return openPanel<{ readonly answer: string | undefined }>(ctx, { ended: { answer: undefined } }, (host) =>
		createQuestionPanel({
			...host,
			room: host.wholeRoom,
			question,
			onAnswer: (answer) => host.close({ answer }),
		}),
	);
}
