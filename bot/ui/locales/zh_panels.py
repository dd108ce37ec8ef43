"""Panels, menus and what the newer commands answer, in Simplified Chinese, by the English sentences."""

from __future__ import annotations

PANELS: dict[str, str] = {
    # Pictures described
    "The picture holds no parameters and this server has no captioner, so these are guesses from "
    "colours, light and shape alone; what it shows is not known.": (
        "图片里没有参数，本服务器也没有图像描述模型，所以这些只是根据颜色、光线和形状的猜测；并不知道画的"
        "是什么。"
    ),
    "From the parameters that {source} wrote into the picture.": "来自 {source} 写在图片里的参数。",
    "By the captioner of this server.": "由本服务器的图像描述模型给出。",
    "The captioner failed ({reason}), so these are guesses from colours, light and shape alone.": (
        "图像描述模型出错（{reason}），所以这些只是根据颜色、光线和形状的猜测。"
    ),
    "Give one picture: either attach it, or give its link.": "请给一张图片：附上它，或给出链接，二选一。",
    "There is no picture on this message.": "这条消息上没有图片。",
    "Try again": "再试一次",
    # Several jobs
    "{count} minutes": "{count} 分钟",
    "{count} seconds": "{count} 秒",
    "These are **{jobs} jobs** with {images} pictures for **{price}**, done in about {wait}. Paint them?": (
        "共 **{jobs} 个任务**、{images} 张图，费用 **{price}**，约 {wait}完成。要画吗？"
    ),
    "Paint {count} jobs": "画这 {count} 个任务",
    "Jobs ordered: {count}.": "已下单：{count} 个任务。",
    "Dropped; nothing was ordered.": "已放弃，没有下单。",
    "- and {count} more": "- 还有 {count} 个",
    "Drop": "放弃",
    "Here Discord lets me answer {most} times; ask for fewer.": (
        "在这里 Discord 只让我回答 {most} 次；请减少数量。"
    ),
    "I can no longer read the prompt of this message; use the command again.": (
        "我已读不出这条消息里的提示词；请重新使用命令。"
    ),
    "Paint this": "画这个",
    "Prompt": "提示词",
    "Paint all": "全部画",
    # History
    "**Your pictures** · jobs found: {total} · page {number} of {pages}": (
        "**你的作品** · 共 {total} 个任务 · 第 {number}/{pages} 页"
    ),
    "{typed} is no day; write it like `2026-06-15` (UTC).": (
        "{typed} 不是日期；请写成 `2026-06-15`（世界时）。"
    ),
    "grid": "组图",
    "single picture": "单图",
    "variations": "变体",
    "re-roll": "重画",
    "changed picture": "修改的图",
    "Jobs: {count}, the latest first; {left} more do not fit the upload limit. Narrow the search by day "
    "to get those.": "{count} 个任务，最新的在前；还有 {left} 个超出上传上限。请用日期缩小范围来取得它们。",
    "Jobs: {count}, all that were found.": "{count} 个任务，全部在此。",
    "Post it here": "发到这里",
    "Nothing of yours fits that; leave a condition out.": "没有符合的作品；请减少条件。",
    "You have no pictures yet; /imagine paints some.": "你还没有作品；用 /imagine 画一些吧。",
    "with {text}": "含 {text}",
    "favourites": "收藏",
    "model {name}": "模型 {name}",
    "There is nothing to pack that fits this place's upload limit.": "没有能在此处上传上限内打包的内容。",
    "Export as ZIP": "导出 ZIP",
    "Parameters and origin of ...": "查看参数与来历……",
    "Job `{job}`, model {model}": "任务 `{job}`，模型 {model}",
    "Seeds: {seeds}": "种子：{seeds}",
    "Made from: {jobs}": "来自：{jobs}",
    "Made of it: {jobs}": "由它产生：{jobs}",
    "That is no job id. It has 32 letters and digits and stands at the end of each picture's file name; "
    "/history shows yours.": (
        "这不是任务编号。编号有 32 个字母和数字，在每张图片文件名的末尾；/history 显示你的任务。"
    ),
    "There is no such job: it was deleted, or belongs to another copy of me.": (
        "没有这个任务：它被删除了，或属于另一个我。"
    ),
    "That job is somebody else's; only its owner can show it again.": (
        "那是别人的任务；只有它的主人可以再次展示。"
    ),
    "That job is not finished yet; its result will be posted where it was asked for.": (
        "那个任务还没完成；结果会发到下单的地方。"
    ),
    "The pictures of this job are no longer there; re-roll paints new ones.": (
        "这个任务的图片已不在；重画可得到新的。"
    ),
    # Menus, reactions, direct messages
    "This message is no job of mine that I still have; use the menu on one of my pictures.": (
        "这条消息不是我还保存着的任务；请在我的图片上使用菜单。"
    ),
    "Reported to those who run this bot. Thank you.": "已报告给机器人的运营者。谢谢。",
    "Some of these stand for several jobs; press their own buttons, which ask first.": (
        "其中有的代表多个任务；请按它们各自的按钮，会先询问。"
    ),
    "This picture is hidden (stealth); only its owner may have it sent.": (
        "这张图是隐藏的（stealth）；只有主人可以让我发送。"
    ),
    "This picture is hidden (stealth); only its owner sees its parameters.": (
        "这张图是隐藏的（stealth）；只有主人能看它的参数。"
    ),
    "Sent to you by direct message.": "已私信发给你。",
    "Report this picture": "举报这张图",
    "What is wrong with it?": "它有什么问题？",
    "I may not send you direct messages. Allow them for this server (its name, Privacy Settings), then "
    "try again.": "我不能给你发私信。请在服务器名 → 隐私设置里允许私信，然后重试。",
    "Image #{number}: seed `{seed}`": "第 {number} 张：种子 `{seed}`",
    "Job `{job}`": "任务 `{job}`",
    "Your direct messages are closed, so I no longer send results there; /prefer auto_dm switches it on "
    "again.": "你的私信已关闭，所以我不再私信发送结果；可用 /prefer auto_dm 重新开启。",
    # Modes and preferences
    "Your jobs are fast from now on. A prompt may say otherwise: `--relax`, `--turbo`.": (
        "从现在起你的任务为快速。提示词可另行指定：`--relax`、`--turbo`。"
    ),
    "Your jobs are relaxed from now on: they wait behind the others and cost less. A prompt may say "
    "otherwise: `--fast`, `--turbo`.": (
        "从现在起你的任务为休闲：排在别人后面，花费更少。提示词可另行指定：`--fast`、`--turbo`。"
    ),
    "Your jobs are turbo from now on: they go before the others and cost more. A prompt may say "
    "otherwise: `--fast`, `--relax`.": (
        "从现在起你的任务为极速：排在别人前面，花费更多。提示词可另行指定：`--fast`、`--relax`。"
    ),
    "Your pictures are hidden from now on: no gallery shows them, and nobody else finds them. Where you "
    "ask for them the channel still sees them, marked (stealth); for your eyes alone ask me in a direct "
    "message. A prompt may say otherwise: `--public`.": (
        "从现在起你的作品是隐藏的：画廊不展示，别人也找不到。下单的频道仍能看到，并标有 "
        "(stealth)；若只想自己看，请私信我。提示词可另行指定：`--public`。"
    ),
    "Your pictures are public from now on. A prompt may say otherwise: `--stealth`.": (
        "从现在起你的作品是公开的。提示词可另行指定：`--stealth`。"
    ),
    "You have no options; /prefer option set makes one, {most} at most.": (
        "你没有选项；可用 /prefer option set 设置，最多 {most} 个。"
    ),
    "Your options:": "你的选项：",
    "`--{name}` is gone.": "已去掉 `--{name}`。",
    "`--{name}` stands for {text} from now on.": "从现在起 `--{name}` 代表 {text}。",
    "Behind each of your prompts from now on: {text}": "从现在起加在你每条提示词后面：{text}",
    "Nothing is put behind your prompts any more.": "不再在你的提示词后面加任何内容。",
    "Remix is on: V, vary, re-roll, pan and zoom let you change the prompt first.": (
        "混合模式已开：V、变体、重画、平移和缩放会先让你修改提示词。"
    ),
    "Remix is off: buttons paint at once.": "混合模式已关：按钮立即作画。",
    "V paints subtle variations from now on: close to the picture.": "从现在起 V 画细微的变体：接近原图。",
    "V paints strong variations from now on: details are painted anew.": (
        "从现在起 V 画强烈的变体：细节重新绘制。"
    ),
    "I send your results by direct message too, from now on. Your direct messages must be open.": (
        "从现在起我也会私信发送你的结果。你的私信须是开放的。"
    ),
    "I no longer send your results by direct message.": "我不再私信发送你的结果。",
    "**Your settings.** Flags in a prompt go before them.": "**你的设置。** 提示词里的参数优先。",
    "Model: {name}": "模型：{name}",
    "Model: the server's ({name})": "模型：服务器默认（{name}）",
    "The server's default model": "服务器的默认模型",
    "Stylize: {value}": "风格化：{value}",
    "Mode: {speed}, {visibility}": "模式：{speed}，{visibility}",
    "Variations: {strength} · Remix: {remix} · Results by direct message: {auto_dm}": (
        "变体：{strength} · 混合：{remix} · 私信结果：{auto_dm}"
    ),
    "Suffix: {text}": "后缀：{text}",
    "Options: {names}": "选项：{names}",
    "This panel is out of date; use /settings again.": "这个面板已过期；请重新使用 /settings。",
    "Stylize low": "风格化 低",
    "Stylize med": "风格化 中",
    "Stylize high": "风格化 高",
    "Stylize very high": "风格化 很高",
    "Turbo": "极速",
    "Fast": "快速",
    "Relax": "休闲",
    "Public": "公开",
    "Stealth": "隐藏",
    "Strong variation": "强变体",
    "Subtle variation": "细微变体",
    "on": "开",
    "off": "关",
    "Reset": "重置",
    # Privacy
    "{count} of your jobs are just being finished; try again in a minute. Nothing was deleted yet.": (
        "你有 {count} 个任务正在完成；请一分钟后再试。尚未删除任何内容。"
    ),
    "This deletes all your jobs, pictures, favourites and settings. It cannot be undone.": (
        "这会删除你的全部任务、图片、收藏和设置，无法恢复。"
    ),
    "**What I store of you**": "**我存储了你的哪些信息**",
    "- of each job: your prompt, its pictures and those it started from, seeds, model, the channel, your "
    "user id and roles at that moment, times and what it cost;": (
        "- 每个任务：提示词、图片及其参考图、种子、模型、频道、你当时的用户 ID 和身份组、时间和费用；"
    ),
    "- your settings, options, suffix, favourites and the language of your Discord;": (
        "- 你的设置、选项、后缀、收藏，以及你 Discord 的语言；"
    ),
    "- what you spent and what admins allow you.": "- 你的消费，以及管理员给你的额度。",
    "It stays on the operator's machine and goes nowhere else, until you delete a picture (🗑️) or "
    "everything (below). Of messages I read none but my own and those you use a command on.": (
        "这些只留在运营者的机器上，不去别处，直到你删除一张图（🗑️）或全部（见下）。除了我自己的和你对其使"
        "用命令的消息，我不读任何消息。"
    ),
    "Deleting everything cancels your waiting jobs and removes rows, files and my messages with your "
    "pictures. What you spent this month and what admins gave you stay as numbers that name nobody, so "
    "that credit does not come back by it; copies that the operator made of the database are out of my "
    "reach.": (
        "全部删除会取消等待中的任务，并移除数据、文件和带有你图片的消息。你本月的消费和管理员给你的额度会作为不记名"
        "的数字保留，以免额度因此恢复；运营者自己做的数据库备份我无法触及。"
    ),
    "Everything I store of you. {left} pictures do not fit the upload limit; /history exports them in "
    "parts.": "这是我存储的关于你的全部内容。有 {left} 张图超出上传上限；可用 /history 分批导出。",
    "Everything I store of you.": "这是我存储的关于你的全部内容。",
    "Yes, delete everything": "是的，全部删除",
    "Export my data": "导出我的数据",
    "Delete my data": "删除我的数据",
    "Deleted: I store nothing of you any more.": "已删除：我不再存储你的任何内容。",
    # Remix and shorten
    "**Made with {source}**": "**由 {source} 生成**",
    "Model there: {name}": "当时的模型：{name}",
    "Left out, since the model here cannot do it: {flags}": "已略去，因为这里的模型做不到：{flags}",
    "This picture says nothing of how it was made; sites and messengers often take that out. Use the "
    "original file, or /describe for prompts that fit it.": (
        "这张图没有写明如何生成；网站和聊天软件常会去掉这些信息。请用原始文件，或用 /describe "
        "得到合适的提示词。"
    ),
    "Reproduce": "重现",
    "Remix": "混合",
    "Vary": "变体",
    "**Words that matter** are bold, ~~those that hardly do~~ are crossed out. Told from the words "
    "alone: no model was asked.": (
        "**重要的词**为粗体，~~不太重要的~~被划去。仅从文字判断，没有询问任何模型。"
    ),
    "This prompt is as short as can be: every word of it matters.": "这条提示词已是最短：每个词都重要。",
    # The explanation
    "**What I understood**": "**我的理解**",
    "**What {model} leaves aside**": "**{model} 不理会的**",
    "**The model is told** {text}": "**交给模型的文字** {text}",
    "**and to leave out** {text}": "**要避免的** {text}",
    "{images} pictures of {width}x{height} pixels by {model}: {steps} steps of {sampler}, guidance "
    "{guidance:g}, seed {seed}": (
        "{model} 画 {images} 张 {width}x{height} 像素的图：{sampler} {steps} 步，引导 {guidance:g}，种子 "
        "{seed}"
    ),
    "**Price** {price}": "**费用** {price}",
    "what it takes of the GPU, in seconds": "按实际占用的 GPU 秒数",
    "nothing": "免费",
    "by chance": "随机",
    "Explain": "说明",
    "Price: {price} by {model}, jobs: {count}": "费用：{price}，模型 {model}，{count} 个任务",
    # Buttons that change a picture
    "The picture that this one was made from was deleted, so it cannot be painted again; use Vary "
    "instead.": "这张图的来源已删除，无法重画；请改用变体。",
    "This picture cannot grow further that way: it would be more than four times as long as wide. Pan "
    "the other way, or use Make Square first.": (
        "这张图不能再往那个方向扩展：长宽比会超过四倍。请往另一方向平移，或先变方。"
    ),
    "This zoom leaves nothing to paint; choose a larger one, up to 2, or another shape by `--ar`.": (
        "这样缩放没有可画的内容；请选择更大的值（不超过 2），或用 `--ar` 换一个比例。"
    ),
    "The model {model} cannot paint a picture larger in a second pass, which Upscale (Creative) needs. "
    "Upscale (Subtle) works with it; or paint the prompt with another `--model` and upscale that.": (
        "模型 {model} 不能用第二遍放大，而创意放大需要它。细微放大可用；或换一个 `--model` 画好再放大。"
    ),
    "The model {model} cannot start from a picture, which this button needs. Re-roll paints other "
    "pictures of the prompt; or paint it with another `--model` first.": (
        "模型 {model} 不能从图片开始，而这个按钮需要它。重新生成会按提示词画出别的图片；或先换一个 "
        "`--model`。"
    ),
    "The model {model} cannot repaint a part of a picture, which this button needs. Vary (Subtle) and "
    "Vary (Strong) paint all of it anew; or paint the prompt with another `--model` first.": (
        "模型 {model} 不能重画图片的一部分，而这个按钮需要它。细微变体和强变体会重画整张；或先换一个 "
        "`--model`。"
    ),
    "The model {model} cannot blend pictures; choose another `--model`.": (
        "模型 {model} 不能融合图片；请换一个 `--model`。"
    ),
    "`--blend` mixes {least} to {most} pictures in front of the text, and here are {count}.": (
        "`--blend` 融合文字前的 {least} 到 {most} 张图，而这里有 {count} 张。"
    ),
    # Help
    "**/imagine** paints a grid of pictures, for example `/imagine a red apple --ar 3:2 --seed "
    "7`.\nUnder a grid: **U1** posts picture 1 at full size, **V1** paints variations of it, 🔄 paints "
    "the prompt again, 🗑️ deletes. Anyone may press; who presses pays. Under one picture, ❤️ makes it a "
    "favourite.\n**/history** finds your pictures again, **/info** shows your credit, `/help topic` tells "
    "more. Image links or an attached picture go before the text.\n\n**Flags** (after the text)": (
        "**/imagine** 画一组图，例如 `/imagine 一个红苹果 --ar 3:2 --seed 7`。\n组图下方：**U1** "
        "以原尺寸发出第 1 张，**V1** 画它的变体，🔄 用提示词重画，🗑️ "
        "删除。谁都可以按，谁按谁付费。单图下方：❤️ 收藏。\n**/history** "
        "找回你的作品，**/info** 显示你的额度，`/help topic` 有更多说明。图片链接或附上的图片放在文字之前。"
        "\n\n**参数**（写在文字后面）"
    ),
    "- {flag}: {help}": "- {flag}：{help}",
    "- also {flags}": "- 还有 {flags}",
    "\nI store your prompts and pictures, your user id and what you spent, until you delete the pictures "
    "(🗑️) or everything (/privacy), or the operator does.": (
        "\n我存储你的提示词和图片、用户 ID 和消费，直到你删除图片（🗑️）或全部（/privacy），或由运营者删除。"
    ),
    "**Under a grid**: U1 to U4 post one picture at full size, V1 to V4 paint variations of it, 🔄 "
    "paints the prompt again, 🗑️ deletes (the owner's own, or an admin). Under one picture: upscale, "
    "vary, zoom out, pan, make square, ❤️ favourite.\n"
    "A used button changes colour and can be used again. Buttons work after a restart, and "
    "for pictures whose files are gone. With **/prefer remix** they let you change the prompt "
    "first.\n**Reactions** by the owner: ✉️ sends each picture with its job and seed by direct message; "
    "❌ cancels a running job and deletes a finished one.\n**Right-click on a message, Apps**: Cancel "
    "Job, DM Results, Report Job, Use as Image Prompt, Describe & Parameters.": (
        "**组图下方**：U1 到 U4 以原尺寸发出一张，V1 到 V4 画它的变体，🔄 用提示词重画，🗑️ "
        "删除（主人或管理员）。单图下方：放大、变体、拉远、平移、变方、❤️ 收藏。\n"
        "用过的按钮会变色，仍可再用。重启之后、文件"
        "不在时，按钮照样有效。开启 **/prefer remix** 后会先让你修改提示词。\n**表情**（仅主人）：✉️ "
        "私信发送每张图及其任务和种子；❌ 取消进行中的任务，删除已完成的。\n**右键消息 → "
        "应用**：取消任务、私信结果、举报任务、用作参考图、描述与参数。"
    ),
    "**A picture in front of the text** is where painting starts; `--iw` says how strongly it counts. "
    "Attach it or give its link. `--sref`, `--cref` and `--oref` take style, character or thing from "
    "pictures, where the model has an adapter.\n**/blend** mixes two to five pictures. **/describe** "
    "gives four prompts for a picture. **/remix** paints a picture again from the parameters in its "
    "file: the same, changed, or varied; it reads those of this bot, stable-diffusion-webui, ComfyUI, "
    "Fooocus and NovelAI.": (
        "**文字前的图片**是作画的起点；`--iw` 决定它的权重。可附上或给链接。`--sref`、`--cref` 和 "
        "`--oref` 从图片借用风格、角色或事物（模型有适配器时）。\n**/blend** "
        "融合两到五张图。**/describe** 为一张图给出四条提示词。**/remix** "
        "按文件里的参数重画：原样、修改或变体；能读本机器人、stable-diffusion-webui、ComfyUI、Fooocus 和 "
        "NovelAI 的参数。"
    ),
    "`a {{red, blue}} bird --ar {{3:2, 1:1}}` are four jobs, up to {most} in all; sets stand inside each "
    "other, `\\,` is a comma. `--repeat 3` orders three grids. You are asked first, with the price. "
    "`cat::2 fog::-1` weighs ideas in one picture. `/prefer option set` makes flags of your own, "
    "`/prefer suffix` puts something behind each prompt.": (
        "`一只{{红, 蓝}}鸟 --ar {{3:2, 1:1}}` 是四个任务，最多 {most} 个；可以嵌套，`\\,` "
        "表示逗号本身。`--repeat 3` 下三组。下单前会先告诉你价格并确认。`猫::2 雾::-1` "
        "为一张图里的内容加权。`/prefer option set` 设置自己的参数，`/prefer suffix` "
        "在每条提示词后加内容。"
    ),
}
