// Polls the top of a leaderboard politely from a Unity game: an example to copy (Unity 2021.3 or newer).
//
// Add it to a GameObject, set Board to the URL of a leaderboard, and listen to Changed. It asks no sooner than the
// answer may have changed (Cache-Control), is sent only what has changed (ETag), waits as long as it is told to
// (Retry-After), and longer after each failure in a row. Disabled, it asks nothing.

using System;
using System.Collections;
using System.Globalization;
using System.Text.RegularExpressions;
using UnityEngine;
using UnityEngine.Networking;

namespace ExactLeaderboards
{
    [Serializable]
    public sealed class RankingProfile
    {
        public string name;
        public string avatar;
    }

    [Serializable]
    public sealed class RankingEntry
    {
        public int rank;
        public int competitionRank;
        public string userId;
        public long score;
        public double topPercent;
        public string tier;
        public RankingProfile profile;

        /// <summary>What to show: the name, or the id of who has none. Text: show it without rich text.</summary>
        public string Shown => string.IsNullOrEmpty(profile?.name) ? userId : profile.name;
    }

    [Serializable]
    public sealed class RankingPage
    {
        public long revision;
        public int total;
        public string asOf;
        public string source;
        public RankingEntry[] entries;
    }

    [Serializable]
    public sealed class ApiProblem
    {
        public string type;
        public string title;
        public int status;
        public string detail;
    }

    public sealed class LeaderboardClient : MonoBehaviour
    {
        private const float PauseMin = 1f;
        private const float PauseMax = 60f;
        private const int TimeoutSeconds = 30;
        private static readonly Regex MaxAge = new Regex(@"max-age=(\d{1,6})");

        [Tooltip("URL of a leaderboard, https://api.example.com/leaderboards/autumn-cup")]
        [SerializeField] private string board = "";
        [SerializeField] private string window = "weekly";
        [SerializeField, Range(1, 1000)] private int limit = 10;
        [Tooltip("Seconds between two reads at least, whatever the API allows")]
        [SerializeField, Min(PauseMin)] private float interval = 5f;

        private string tag = "";
        private int failures;

        /// <summary>A bearer token, if the API asks for one. Never build one into a game: have your server give it.</summary>
        public Func<string> Token { get; set; }

        /// <summary>The ranking, when it has changed. Names and user ids are text: show them without rich text.</summary>
        public event Action<RankingPage> Changed;

        /// <summary>Why a read failed. It is tried again, unless the request itself is wrong.</summary>
        public event Action<string> Failed;

        private void OnEnable()
        {
            StartCoroutine(Poll());
        }

        private void OnDisable()
        {
            StopAllCoroutines();
        }

        private IEnumerator Poll()
        {
            while (true)
            {
                float pause;
                using (UnityWebRequest request = UnityWebRequest.Get(Url()))
                {
                    request.timeout = TimeoutSeconds;
                    if (tag.Length > 0)
                    {
                        request.SetRequestHeader("If-None-Match", tag);
                    }
                    string token = Token?.Invoke();
                    if (!string.IsNullOrEmpty(token))
                    {
                        request.SetRequestHeader("Authorization", "Bearer " + token);
                    }
                    yield return request.SendWebRequest();
                    if (!Take(request))
                    {
                        yield break;
                    }
                    pause = Pause(request);
                }
                // a little more for each player, so that a million games don't ask in the same second
                yield return new WaitForSecondsRealtime(pause * UnityEngine.Random.Range(1f, 1.2f));
            }
        }

        private string Url()
        {
            return board.TrimEnd('/') + "/rankings?window=" + UnityWebRequest.EscapeURL(window)
                + "&include=profile&limit=" + limit.ToString(CultureInfo.InvariantCulture);
        }

        /// <summary>Whether asking again makes sense.</summary>
        private bool Take(UnityWebRequest request)
        {
            switch (request.responseCode)
            {
                case 200:
                    failures = 0;
                    tag = request.GetResponseHeader("ETag") ?? "";
                    Changed?.Invoke(JsonUtility.FromJson<RankingPage>(request.downloadHandler.text));
                    return true;
                case 304:
                    failures = 0;
                    return true;
                case 0: // nobody answered
                case 202: // the ranking is being built
                case 401: // the token's time is over: Token gives another one
                case 429:
                case long status when status >= 500:
                    failures++;
                    Failed?.Invoke(request.error ?? "being built");
                    return true;
                default:
                    Failed?.Invoke(Detail(request));
                    return false;
            }
        }

        private float Pause(UnityWebRequest request)
        {
            float pause = failures > 0 ? Mathf.Pow(2f, failures) : 0f;
            Match match = MaxAge.Match(request.GetResponseHeader("Cache-Control") ?? "");
            if (match.Success)
            {
                pause = Mathf.Max(pause, Seconds(match.Groups[1].Value));
            }
            pause = Mathf.Max(interval, Mathf.Min(PauseMax, pause));
            return Mathf.Max(pause, Seconds(request.GetResponseHeader("Retry-After")));
        }

        private static float Seconds(string text)
        {
            return float.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out float found) ? found : 0f;
        }

        private static string Detail(UnityWebRequest request)
        {
            try
            {
                ApiProblem problem = JsonUtility.FromJson<ApiProblem>(request.downloadHandler.text);
                return problem.status + " " + problem.detail;
            }
            catch (ArgumentException) // no JSON: something between the game and the API answered
            {
                return request.error;
            }
        }
    }
}
