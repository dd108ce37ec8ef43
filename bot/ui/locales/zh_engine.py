"""What the engine refuses, in Simplified Chinese, by the English sentences."""

from __future__ import annotations

ENGINE: dict[str, str] = {
    # Before anything is queued
    "There is no model {model!r}; choose one of {names}.": "没有模型 {model!r}；请从 {names} 中选择。",
    "A job needs at least one seed, one for each picture.": "一个任务至少需要一个种子，每张图一个。",
    "Seeds must lie between 0 and {most}.": "种子必须在 0 到 {most} 之间。",
    "The variation seed must lie between 0 and {most}.": "变体的种子必须在 0 到 {most} 之间。",
    "width": "宽度",
    "height": "高度",
    "The {side} must lie between {low} and {high} pixels for {model}, not {value}.": (
        "{model} 的图片{side}必须在 {low} 到 {high} 像素之间，不能是 {value}。"
    ),
    "The {side} must be a multiple of {raster} for {model}, not {value}.": (
        "{model} 的图片{side}必须是 {raster} 的倍数，不能是 {value}。"
    ),
    "The number of steps must lie between {least} and {most} for {model}, not {steps}.": (
        "{model} 的步数必须在 {least} 到 {most} 之间，不能是 {steps}。"
    ),
    "A prompt may join at most {most} parts with AND.": "一个提示词最多可用 AND 连接 {most} 个部分。",
    "The guidance scale must lie between 0 and {most:g}, not {scale:g}.": (
        "引导强度必须在 0 到 {most:g} 之间，不能是 {scale:g}。"
    ),
    "{model} has no sampler {sampler!r}; choose one of {names}.": (
        "{model} 没有采样器 {sampler!r}；请从 {names} 中选择。"
    ),
    "The share of steps to stop after must lie above 0 and at most 1, not {share:g}.": (
        "提前停止的步数比例必须大于 0 且不超过 1，不能是 {share:g}。"
    ),
    "The strength of an image prompt must lie above 0 and at most 1, not {strength:g}.": (
        "图片提示的强度必须大于 0 且不超过 1，不能是 {strength:g}。"
    ),
    "The strength of a variation must lie between 0 and 1, not {strength:g}.": (
        "变体的强度必须在 0 到 1 之间，不能是 {strength:g}。"
    ),
    "A user's weight must be above 0, not {weight:g}.": "用户的权重必须大于 0，不能是 {weight:g}。",
    "A picture can be enlarged 1 to {most} times, not {scale:g}.": (
        "图片可放大 1 到 {most} 倍，不能是 {scale:g} 倍。"
    ),
    "The strength of a second pass must lie between 0 and 1, not {strength:g}.": (
        "第二遍绘制的强度必须在 0 到 1 之间，不能是 {strength:g}。"
    ),
    "{model} cannot paint more than {most} pixels a side in a second pass.": (
        "{model} 第二遍绘制时每边不能超过 {most} 像素。"
    ),
    "The picture to start from": "起始图片",
    "The mask": "蒙版",
    "A reference picture": "参考图片",
    "Picture {place} of the blend": "混合中的第 {place} 张图片",
    "{what} cannot be read; send it as PNG, JPEG or WebP.": (
        "{what}无法读取；请以 PNG、JPEG 或 WebP 格式发送。"
    ),
    "The mask has {mask} pixels and its picture {picture}; make them the same size.": (
        "蒙版是 {mask} 像素，而它的图片是 {picture}；请让两者一样大。"
    ),
    "A mask's edge is softened over 0 to {most} pixels, not {feather}.": (
        "蒙版边缘可柔化 0 到 {most} 像素，不能是 {feather}。"
    ),
    "{model} cannot mix pictures; leave them out.": "{model} 不能混合图片；请去掉它们。",
    "A blend takes {least} to {most} pictures, not {count}.": (
        "混合需要 {least} 到 {most} 张图片，不能是 {count} 张。"
    ),
    "A blend has no picture to start from; leave the picture out, or add it to the blend.": (
        "混合没有起始图片；请去掉该图片，或把它加入混合。"
    ),
    "The weight of LoRA {name!r} must lie within {most} of 0, not at {weight:g}.": (
        "LoRA {name!r} 的权重必须在 -{most} 到 {most} 之间，不能是 {weight:g}。"
    ),
    "The weight of a reference must lie between 0 and {most}, not {weight:g}.": (
        "参考的权重必须在 0 到 {most} 之间，不能是 {weight:g}。"
    ),
    "{model} cannot start from a picture; leave the picture out.": ("{model} 不能从图片开始；请去掉该图片。"),
    "{model} takes no negative prompt; leave --no out.": "{model} 不支持反向提示词；请去掉 --no。",
    "{model} cannot paint a picture whose edges meet; leave --tile out.": (
        "{model} 不能绘制可无缝拼接的图片；请去掉 --tile。"
    ),
    "{model} cannot repaint a part of a picture; leave the mask out.": (
        "{model} 不能重绘图片的一部分；请去掉蒙版。"
    ),
    "{model} cannot paint a picture larger in a second pass.": "{model} 不能用第二遍绘制放大图片。",
    "style": "风格",
    "character": "角色",
    "{model} has no adapter for {kind} references; leave them out.": (
        "{model} 没有{kind}参考的适配器；请去掉这些参考。"
    ),
    "LoRA {name!r} does not fit {model}: {reason}.": "LoRA {name!r} 不适合 {model}：{reason}。",
    "{file} is a LoHa, LoKr, DoRA of kohya's or the like, which is not read here; choose a LoRA or LoCon": (
        "{file} 是 LoHa、LoKr、kohya 的 DoRA 或类似文件，这里无法读取；请选用 LoRA 或 LoCon"
    ),
    "{file} holds no LoRA": "{file} 中没有 LoRA",
    "{file} was made for another kind of model: its {layer} takes {taken} values, and this model's {own}": (
        "{file} 是为另一种模型制作的：它的 {layer} 接收 {taken} 个值，而此模型的接收 {own} 个"
    ),
    "{file} was made for another kind of model: its {layer} is not in this one": (
        "{file} 是为另一种模型制作的：此模型没有它的 {layer}"
    ),
    "{file} was made for another kind of model: none of its layers is in this one": (
        "{file} 是为另一种模型制作的：此模型没有它的任何一层"
    ),
    "{file} is a pickle, which is never loaded; convert it to safetensors": (
        "{file} 是 pickle 文件，一律不会加载；请转换为 safetensors"
    ),
    "{file} is missing; put it there, or mend its path": "找不到 {file}；请放入该文件，或改正其路径",
    "{file} is not a whole safetensors file; copy it again": (
        "{file} 不是完整的 safetensors 文件；请重新复制"
    ),
    "{model} has no LoRA {name!r}; choose one of {names}.": (
        "{model} 没有 LoRA {name!r}；请从 {names} 中选择。"
    ),
    "{model} has no LoRA {name!r}; none fits it.": "{model} 没有 LoRA {name!r}；也没有适合它的 LoRA。",
    "{model} cannot stop early; leave --stop out.": "{model} 不能提前停止；请去掉 --stop。",
    "{model} cannot vary a seed; leave the variation out.": "{model} 不支持种子变体；请去掉变体。",
    "Job {job} is already in the engine.": "任务 {job} 已在引擎中。",
    "There is no picture check {name!r}; there are {names}.": (
        "没有名为 {name!r} 的图片检查；可用的有 {names}。"
    ),
    "The nudity check is not installed here; type: pip install 'tessera[safety]'": (
        "这里没有安装裸露检查；请运行：pip install 'tessera[safety]'"
    ),
    "This model brings no safety_checker; use the check 'nudity' instead.": (
        "此模型没有 safety_checker；请改用检查 'nudity'。"
    ),
    # While it is painted
    "The model {model} cannot be used here now, since something that it needs is missing or damaged; choose "
    "another model, and tell those who run this bot.": (
        "模型 {model} 目前无法使用，它所需的某些文件缺失或损坏；请另选模型，并告知本机器人的管理者。"
    ),
    "A device stopped working.": "一台设备已停止工作。",
    "The engine stopped working; tell those who run this bot.": ("引擎已停止工作；请告知本机器人的管理者。"),
    "The model returned no numbers for this picture; try another seed or fewer flags.": (
        "模型没有为这张图返回有效数值；请换一个种子或减少参数。"
    ),
    "The model painted an empty frame; try another seed or another prompt.": (
        "模型只画出了空白画面；请换一个种子或提示词。"
    ),
    "There is not enough memory on the device for {width}x{height} pixels; try a smaller --ar, --n or "
    "another model.": "设备内存不足以绘制 {width}x{height} 像素；请尝试更小的 --ar、--n 或另一个模型。",
    "The picture could not be painted: a {error} in the engine": "图片无法绘制：引擎中出现 {error}",
    "The LoRA {name!r} cannot be used with this model; leave it out, or choose another.": (
        "LoRA {name!r} 不能与此模型一起使用；请去掉它，或另选一个。"
    ),
    "The adapter for reference pictures cannot be used with this model; leave them out, or choose another "
    "model.": "参考图片的适配器不能与此模型一起使用；请去掉它们，或另选模型。",
    "The picture was held back: it shows what is not allowed in this channel; try another prompt or seed.": (
        "图片已被拦下：它含有本频道不允许的内容；请换提示词或种子。"
    ),
    "The mask marks nothing to paint anew; make white what should change.": (
        "蒙版没有标出要重画的部分；请把要改变的地方涂白。"
    ),
    "The picture it starts from was deleted": "它的起始图片已被删除",
    "The picture it starts from cannot be read; attach or link another one": (
        "它的起始图片无法读取；请附上或链接另一张"
    ),
    "The model {model} is no longer installed here": "这里已没有模型 {model}",
    # What is looked for, and described
    "there is no segmentation model; a CLIPSeg folder can be given as `path` under [segmentation].": (
        "没有分割模型；可在 [segmentation] 下用 `path` 指定一个 CLIPSeg 文件夹。"
    ),
    "the segmentation model lacks {files}.": "分割模型缺少 {files}。",
    "The segmentation model is {kind!r}, not clipseg.": "分割模型的类型是 {kind!r}，而不是 clipseg。",
    "The segmentation model cannot be read": "分割模型无法读取",
    "Regions cannot be named: {fault}": "无法按名称选择区域：{fault}",
    "The picture to look at cannot be read": "要查看的图片无法读取",
    "I do not see {text!r} in this picture; name something else, or choose numbered fields": (
        "我在这张图里没有看到 {text!r}；请换一个说法，或改选带编号的格子"
    ),
    "There is no captioning model here; the operator can add the folder of one as `path` under "
    "[captioning].": "这里没有描述模型；运营者可在 [captioning] 下用 `path` 指定一个模型文件夹。",
    "The captioning model lacks {files}.": "描述模型缺少 {files}。",
    "The picture to describe cannot be read": "要描述的图片无法读取",
    "The captioning model does not say how large its pictures are.": "描述模型没有说明图片的大小。",
    "The captioning model is {kind!r}; {kinds} are known.": "描述模型的类型是 {kind!r}；支持的有 {kinds}。",
    "The captioning model cannot be read": "描述模型无法读取",
    "{sentence}.": "{sentence}。",
}
