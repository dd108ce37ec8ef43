"""Labels of buttons, their windows and what they answer, in Simplified Chinese, by the English words."""

from __future__ import annotations

BUTTONS: dict[str, str] = {
    "Vary (Subtle)": "变化（细微）",
    "Vary (Strong)": "变化（强烈）",
    "Vary (Region)": "变化（局部）",
    "Upscale (Subtle)": "放大（细微）",
    "Upscale (Creative)": "放大（创意）",
    "Zoom Out 2x": "拉远 2 倍",
    "Zoom Out 1.5x": "拉远 1.5 倍",
    "Custom Zoom": "自定义拉远",
    "Zoom Out": "拉远",
    "Make Square": "变为方形",
    "Seed & parameters": "种子与参数",
    "Explain": "解读",
    "Cancel": "取消",
    "Paint": "绘制",
    "Name it": "用文字指定",
    "Remix": "混合",
    "What to repaint, for example: the sky": "要重画什么，例如：天空",
    "What should be painted anew? Choose one or more of the numbered fields, then press Paint. Or name what "
    "you mean, such as the sky.": (
        "要重画哪里？请选择一个或多个带编号的格子，再按“绘制”。也可以用文字指定，例如天空。"
    ),
    "Choose one or more of the numbered fields first, then press Paint.": (
        "请先选择一个或多个带编号的格子，再按“绘制”。"
    ),
    "Name what should be painted anew, for example: the sky.": "请写出要重画什么，例如：天空。",
    "`--zoom` must be a number from 1 to 2, for example `--zoom 1.5`.": (
        "`--zoom` 必须是 1 到 2 之间的数，例如 `--zoom 1.5`。"
    ),
    "A window makes one job: leave `{{a, b}}` and `--repeat` out, or use /imagine for several.": (
        "一个窗口只做一个任务：请去掉 `{{a, b}}` 和 `--repeat`，或用 /imagine 一次画多个。"
    ),
    "The picture's file is gone; press re-roll to have new ones painted.": (
        "图片文件已经不在了；请按重画按钮画新的。"
    ),
    "Kept among your favourites; `/history` with `favourites` shows them.": (
        "已加入你的收藏；用 `/history` 并选择“收藏”即可查看。"
    ),
    "Taken out of your favourites.": "已从你的收藏中移除。",
    "This picture cannot grow further that way: it would be more than four times as long as wide. "
    "Pan the other way, or use Make Square first.": (
        "这张图不能再向这个方向扩展：长边会超过短边的四倍。请向另一个方向平移，或先变为方形。"
    ),
    "A zoom by 1 in the same shape leaves nothing to paint; choose more than 1, up to 2, or another "
    "`--ar`.": ("以相同形状拉远 1 倍没有可画的地方；请选择大于 1、至多 2 的倍数，或换一个 `--ar`。"),
    "The model {model} cannot paint a picture larger in a second pass, which Upscale needs. U and "
    "Vary work with it; or paint the prompt with another `--model` and upscale that.": (
        "模型 {model} 不能通过第二遍绘制放大图片，而放大按钮需要它。U 和变化按钮可以使用；"
        "也可以换一个 `--model` 重新画，再放大。"
    ),
    "The model {model} cannot repaint a part of a picture, which this button needs. Vary (Subtle) "
    "and Vary (Strong) paint all of it anew; or paint the prompt with another `--model` first.": (
        "模型 {model} 不能重画图片的一部分，而这个按钮需要它。变化（细微）和变化（强烈）会重画整张图；"
        "也可以先换一个 `--model` 重新画。"
    ),
    "Regions cannot be named here; choose numbered fields instead. For the operator: {reason}": (
        "这里不能用文字指定区域；请改选带编号的格子。给管理员：{reason}"
    ),
    "The picture that this one was made from was deleted, so it cannot be painted again; use Vary instead.": (
        "这张图的原图已被删除，因此不能再画一次；请改用变化按钮。"
    ),
}
